"""Batches of neighbouring queries: clusters of rows, and the sampler that draws them."""

from __future__ import annotations
