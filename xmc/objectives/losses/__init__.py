"""One objective per file: its row losses, its builder, a public function and a loss module."""

from __future__ import annotations
