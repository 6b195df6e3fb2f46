"""What a server tells of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmc.serving.about_routes import shown_name


@pytest.mark.parametrize(
    ("folder", "name"), [("/runs/shop/index", "shop"), ("/runs/shop", "shop"), ("/index", "index")]
)
def test_an_index_is_called_as_its_run(folder: str, name: str) -> None:
    assert shown_name(Path(folder)) == name
