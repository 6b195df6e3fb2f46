"""Mined labels: the nearest labels to each training query that are not its positives."""

from __future__ import annotations
