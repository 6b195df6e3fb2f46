"""One objective a file: its row losses, its builder, a public function and a loss module."""

from __future__ import annotations
