"""The label memory: an embedding of every label, for the labels that a step's pool leaves out."""

from __future__ import annotations
