"""Within `compiled_tiles` the compiled functions are what runs, whether scores are kept or made again."""

from __future__ import annotations

import pytest
import torch

from benchmarks import compiled_tiles as file
from xmc.objectives import decoupled_softmax


@pytest.mark.parametrize("memory_bytes", [1, 1 << 20])
def test_the_functions_run_and_give_what_plain_tiles_give(
    memory_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    for name in ("_fold", "_share"):
        function = getattr(file, name)
        monkeypatch.setattr(
            file, name, lambda *a, name=name, function=function: called.append(name) or function(*a)
        )
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    queries, labels = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)

    def loss() -> torch.Tensor:
        labels.requires_grad_()
        return decoupled_softmax(queries, labels, [[0], [1, 2], [4]], memory_bytes=memory_bytes)

    (expected,) = torch.autograd.grad(loss(), queries)
    assert not called
    with file.compiled_tiles():
        (found,) = torch.autograd.grad(loss(), queries)
    assert set(called) == {"_fold", "_share"}
    torch.testing.assert_close(found, expected)
