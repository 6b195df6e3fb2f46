"""What a transformer's frozen layers give for the training texts, made once and kept beside the tokens."""

from __future__ import annotations

from xmc.data import Dataset, TokenStore
from xmc.encoders import DualEncoder
from xmc.encoders.kept_layers import KeptLayers, open_or_build

__all__ = ["keep_frozen_layers"]


def keep_frozen_layers(
    encoder: DualEncoder, dataset: Dataset, queries: TokenStore, labels: TokenStore, progress: bool
) -> None:
    """Let the towers read from disk what their frozen layers give for training queries and labels.

    It is made where it is not there: one pass of those layers over all texts.
    """
    wanted = ((encoder.query_tower, queries, "queries"), (encoder.label_tower, labels, "labels"))
    for tower in {id(tower): tower for tower in encoder.towers}.values():
        model = tower.modules[0].model
        folders, tokens = [], []
        for owner, store, name in wanted:
            if owner is tower:
                rows = store.ids, store.offsets
                description = f"frozen layers of {name}"
                place = dataset.path / "layers"
                folders.append(open_or_build(place, model, *rows, description=description, progress=progress))
                tokens.append(rows)
        tower.kept_layers = KeptLayers(model, folders, tokens)
