"""The recipes that are shipped, one folder a data set; found by name wherever the package is installed."""

from __future__ import annotations

from xmc.recipes.shipped import Recipe, find_recipe, shipped_recipes

__all__ = ["Recipe", "find_recipe", "shipped_recipes"]
