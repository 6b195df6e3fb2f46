"""Whether a CUDA graph can hold scoring: a loss and its gradients, replayed on other numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu_cases import relative_errors
from xmc.objectives import build_objective
from xmc.scoring import ScoreInputs

__all__ = ["GraphCase"]


@dataclass(frozen=True)
class GraphCase:
    """Decoupled softmax by kernels, captured with some embeddings and replayed with others, beside a call."""

    num_queries: int = 300
    num_labels: int = 5_001
    dimension: int = 136
    kind: ClassVar[str] = "graph"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        queries, labels = (self._draw(seed, device).requires_grad_() for seed in (0, 1))
        positives = [[row % self.num_labels] for row in range(self.num_queries)]
        scored = ScoreInputs(queries, labels, positives, implementation="triton")
        _ = scored.listed_pairs  # read on the host once, as a graph knows no other pairs

        def step() -> dict[str, Tensor]:
            loss = build_objective("decoupled_softmax")(scored)
            gradients = torch.autograd.grad(loss, [queries, labels])
            return {"loss": loss.detach(), "queries": gradients[0], "labels": gradients[1]}

        step()  # kernels are compiled before a graph is begun
        replay = _captured(step)
        with torch.no_grad():
            for leaf, seed in ((queries, 2), (labels, 3)):
                leaf.copy_(self._draw(seed, device))
        found, again = ({name: tensor.clone() for name, tensor in replay().items()} for _ in range(2))
        errors = relative_errors(found, step())
        repeatable = all(torch.equal(found[name], again[name]) for name in found)
        return {"errors": errors, "within_tolerance": max(errors.values()) == 0.0, "repeatable": repeatable}

    def _draw(self, seed: int, device: str) -> Tensor:
        count = self.num_labels if seed % 2 else self.num_queries
        generator = torch.Generator(device).manual_seed(seed)
        drawn = torch.randn(count, self.dimension, generator=generator, device=device)
        return F.normalize(drawn, dim=1).to(torch.bfloat16)


def _captured(step: Any) -> Any:
    """What replays ``step`` from a graph: the same tensors, filled anew."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        held = step()

    def replay() -> dict[str, Tensor]:
        graph.replay()
        return dict(held)

    return replay
