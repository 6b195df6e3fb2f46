"""``debian``: which packages a package refers to, from the package lists of a Debian or Ubuntu machine."""

from __future__ import annotations

from xmc.corpora.debian.build import build_debian

__all__ = ["build_debian"]
