"""The error of a head whose arithmetic would no longer be that of its table."""

from __future__ import annotations

from xmc.errors import XMCError

__all__ = ["IllConditionedError"]


class IllConditionedError(XMCError):
    """A factored head that must be stabilised before it goes on, or whose training has diverged."""
