"""Optimisers: what changes parameters by their gradients, and what it keeps of earlier ones."""

from __future__ import annotations
