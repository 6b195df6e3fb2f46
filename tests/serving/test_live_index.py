from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import torch

from tests.fixtures.tiny_models import save_static, tiny_tokenizer
from tests.serving.conftest import damage
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DataError, IndexMismatchError, XMCError
from xmc.retrieval import LabelIndex
from xmc.serving import LiveIndex, ServingLimits
from xmc.serving.changes import Change, Outcome
from xmc.serving.index_folder import open_folder, version_of
from xmc.serving.tokens import TOKEN_VARIABLE, is_token, read_token


def test_searches_see_one_version_whole_while_it_is_replaced_again_and_again(live: LiveIndex) -> None:
    """Each version has one label of the text "day bird", of another uid each time."""
    live.apply([Change("add", ("v0",), ("day bird",))])
    stop, seen, faults = threading.Event(), set(), []

    def search() -> None:
        while not stop.is_set():
            snapshot = live.current
            ids, scores, _ = snapshot.search(["day bird"], 2)
            hits = snapshot.index.hits_of(ids[0], scores[0])
            if not hits[0].uid.startswith("v") or hits[1].uid.startswith("v"):
                faults.append(hits)
            seen.add(hits[0].uid)

    thread = threading.Thread(target=search)
    thread.start()
    for number in range(1, 6):
        live.apply([Change("remove", (f"v{number - 1}",)), Change("add", (f"v{number}",), ("day bird",))])
    stop.set()
    thread.join()
    assert not faults and "v0" in seen and live.current.generation == 7


def test_changes_that_come_together_are_saved_once(live: LiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    saves, save = [], LabelIndex.save

    def counted(self: LabelIndex, *arguments: object, **options: object) -> None:
        saves.append(len(self))
        save(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LabelIndex, "save", counted)
    outcomes = live.apply(
        [
            Change("add", ("x",), ("day",)),
            Change("add", ("x", "y"), ("day", "night")),
            Change("put", ("x", "z"), ("red tree", "blue bird")),
            Change("remove", ("nobody",)),
            Change("remove", ("x", "r")),
        ]
    )
    assert outcomes[0] == Outcome(added=1) and outcomes[2] == Outcome(added=1, replaced=1)
    assert outcomes[4] == Outcome(removed=2)
    assert [isinstance(outcome, XMCError) for outcome in outcomes] == [False, True, False, True, False]
    assert saves == [5] and live.current.generation == 2
    live.apply([Change("remove", ("nobody",))])
    assert saves == [5] and live.current.generation == 2


def test_a_label_to_put_that_cannot_be_encoded_stays_as_it_was(
    live: LiveIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = DualEncoder.encode_labels

    def picky(self: DualEncoder, texts: list[str], **options: object) -> object:
        if "stone" in texts:
            raise DataError("no stones")
        return encode(self, texts, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(DualEncoder, "encode_labels", picky)
    put = [Change("put", (uid,), (text,)) for uid, text in (("g", "day"), ("r", "stone"), ("b", "night"))]
    outcomes = live.apply(put)
    assert [type(outcome) for outcome in outcomes] == [Outcome, DataError, Outcome]
    now = live.current.index
    assert [now.hits(text, 1)[0].uid for text in ("day", "red house", "night")] == ["g", "r", "b"]
    assert len(now) == 5


def test_a_folder_that_is_gone_for_a_moment_is_no_error(live: LiveIndex, folder: Path) -> None:
    folder.rename(folder.parent / "aside")
    assert version_of(folder) is None and live.refresh() is False
    timer = threading.Timer(0.15, lambda: (folder.parent / "aside").rename(folder))
    timer.start()
    index, version = open_folder(folder)
    assert len(index) == 5 and version == version_of(folder)
    timer.join()


def test_a_version_that_cannot_be_opened_is_told_once_and_tried_when_asked(
    live: LiveIndex, folder: Path
) -> None:
    mend = damage(folder)
    with pytest.raises(DataError, match="damaged"):
        live.refresh()
    assert live.refresh() is False and "damaged" in str(live.failure)
    mend()
    assert live.refresh(again=True) and live.failure is None and live.current.generation == 2


def test_another_model_comes_with_its_index_or_is_refused(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    other = save_static(tmp_path / "other", tiny_tokenizer(), embedding_dim=6)
    taken, given = (
        LiveIndex(folder),
        LiveIndex(folder, DualEncoder.load(LabelIndex.load(folder).model_place or "")),
    )
    LabelIndex.build(str(other), ["red", "blue"], progress=False).save(folder, overwrite=True)
    assert taken.refresh() and taken.current.index.manifest.dimension == 6
    assert taken.current.index.hits("blue", 1)[0].uid == "1"
    with pytest.raises(IndexMismatchError):
        given.refresh()
    assert len(given.current.index) == 5
    with pytest.raises(DataError, match="expected a label index at"):
        LiveIndex(tmp_path / "nowhere")


def test_a_lock_that_is_held_is_waited_for_and_told(live: LiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr("xmc.retrieval.generations._WAIT_SECONDS", 0.05)
    with (
        FileLock(live.folder / ".lock"),
        pytest.raises(XMCError, match="another process has been changing it"),
    ):
        live.apply([Change("remove", ("r",))])
    assert live.apply([Change("remove", ("r",))]) == [Outcome(removed=1)]


def test_an_index_without_labels_is_searched(live: LiveIndex) -> None:
    live.apply([Change("remove", tuple(live.current.index.uids))])
    ids = live.current.search(["red"], 3).ids
    assert (ids == -1).all() and len(live.current.index) == 0


def test_bounds_that_let_nothing_pass_are_refused() -> None:
    assert ServingLimits(batch_wait=0.0).batch_wait == 0
    for name, value in (("max_k", 0), ("max_seconds", 0.0), ("batch_wait", -1.0)):
        with pytest.raises(ConfigError, match=f"{name}: expected more than 0"):
            ServingLimits(**{name: value})


def test_tokens_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, "of-the-environment")
    assert read_token(None) == "of-the-environment"
    file = tmp_path / "token"
    file.write_text("of-the-file-itself\n", encoding="utf-8")
    assert read_token(file) == "of-the-file-itself"
    for text in ("short", "two words of a token", "ünglaublich-langes-token", ""):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="at least 16 printable ASCII"):
            read_token(file)
    with pytest.raises(ConfigError, match="expected a file with the token"):
        read_token(tmp_path / "none")
    assert (
        is_token("a" * 16, "a" * 16) and not is_token("a" * 15, "a" * 16) and not is_token("\udcff", "a" * 16)
    )


def test_a_copied_folder_is_another_version(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert version_of(copy) not in (None, version_of(folder))
