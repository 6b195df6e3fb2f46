"""Pools of labels, and each label's probability to be in one."""

from __future__ import annotations
