"""A tiny data set and a tiny static model, so that every verb runs in seconds and without downloads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.fixtures.tiny_models import save_static, word_tokenizer

COLOURS = ("red", "green", "blue", "black")
THINGS = ("house", "tree", "river", "stone", "bird")


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 labels "COLOUR THING", 60 training rows and 20 test rows that name a thing and its colour."""
    from xmc.data import DatasetWriter

    folder = tmp_path_factory.mktemp("data") / "things"
    labels = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS]
    with DatasetWriter(folder, name="things") as writer:
        for number, text in enumerate(labels):
            writer.add_label(f"l{number}", text, "")
        for row in range(60):
            number = row % len(labels)
            writer.add_row(
                "train", f"q{row}", " ".join(reversed(labels[number].split())), f"number {row}", [number]
            )
        for number, text in enumerate(labels):
            writer.add_row("test", f"t{number}", f"the {text}", "", [number])
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static model of 16 dimensions that knows the words of the data set."""
    words = ["[UNK]", "the", "number", *COLOURS, *THINGS]
    weights = torch.randn(len(words), 16, generator=torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("model") / "tiny"
    return save_static(folder, word_tokenizer(words), embedding_weights=weights)


def write_recipe(folder: Path, dataset_folder: Path, model_folder: Path) -> Path:
    """A recipe in ``folder`` that trains the tiny model for a few steps into ``folder/run``."""
    path = folder / "recipe.yaml"
    path.write_text(
        f"data: {{path: {dataset_folder}}}\n"
        f"encoder: {{model: {model_folder}, kind: static}}\n"
        "training: {epochs: 2, batch_size: 16, learning_rate: 1e-2}\n"
        "validation: {rows: 10, every: 3}\n"
        f"run: {{dir: {folder / 'run'}, trackers: []}}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def recipe(tmp_path: Path, dataset_folder: Path, model_folder: Path) -> Path:
    """See `write_recipe`: in ``tmp_path``."""
    return write_recipe(tmp_path, dataset_folder, model_folder)
