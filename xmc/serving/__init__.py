"""Labels over HTTP: the interface for programs, the page, and an index kept up to date while it is asked.

The names are imported on first use: a refused option needs neither a model nor a web framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.serving.app import create_app
    from xmc.serving.limits import ServingLimits
    from xmc.serving.live_index import LiveIndex
    from xmc.serving.server import serve

__all__ = ["LiveIndex", "ServingLimits", "create_app", "serve"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "LiveIndex": "xmc.serving.live_index",
        "ServingLimits": "xmc.serving.limits",
        "create_app": "xmc.serving.app",
        "serve": "xmc.serving.server",
    },
)
