"""A backend for Annif, the toolkit of libraries that tag documents by subject: a dense one, trained by xmc.

Annif knows its backends by a table of its own, so that ours has to be put there: ``python -m
xmc.integrations.annif`` is Annif's command with the backend ``xmc``, and `register` does it in a program.
"""

from __future__ import annotations

from xmc.errors import DependencyError
from xmc.integrations.annif.fitted import NAME

__all__ = ["NAME", "register"]


def register() -> None:
    """Let Annif's projects have ``backend=xmc``, in this process.

    Raises:
        DependencyError: When Annif is missing, or of a version that keeps its backends elsewhere.
    """
    try:
        import annif.backend as backends
    except ImportError as error:
        raise DependencyError("expected Annif, found none: `pip install annif`") from error
    known = getattr(backends, "_backend_fns", None)
    if not isinstance(known, dict):
        raise DependencyError(
            "expected a version of Annif that keeps its backends by name (0.60 to 1.4 do), found another: "
            "install one of these"
        )
    known[NAME] = _backend


def _backend() -> type:
    from xmc.integrations.annif.backend import XMCBackend

    return XMCBackend
