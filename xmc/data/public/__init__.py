"""Public data sets: where each is to be had, what is in it, and how it is fetched."""

from __future__ import annotations

from xmc.data.public.download import download_file
from xmc.data.public.sets import Place, PublicSet, find_public_set, public_sets

__all__ = ["Place", "PublicSet", "download_file", "find_public_set", "public_sets"]
