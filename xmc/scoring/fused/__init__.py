"""Scoring by Triton kernels, which are imported (and Triton with them) when they are first used."""

from __future__ import annotations
