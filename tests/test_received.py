from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from xmc.errors import ConfigError, DataError, ModelError
from xmc.limits import MAX_DOCUMENT_BYTES, MAX_YAML_BYTES
from xmc.received import check_folder, check_inside, check_name, read_json, read_text, read_yaml, reading

ALIASES = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n" for i in range(10))
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (KeyError("shape"), "it lacks 'shape'"),
        (RecursionError(), "nested too deeply"),
        (MemoryError(), "more memory than there is"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (Exception("a\n b"), "a b"),
        (type("PanicException", (BaseException,), {})("rust"), "rust"),
        (ValueError("x" * 9000), "xxx..."),
    ],
)
def test_whatever_a_parser_raises_is_one_line_of_one_error(failure: BaseException, said: str) -> None:
    with pytest.raises(ModelError) as caught, reading("f", "a thing", "mend it", ModelError):
        raise failure
    text = str(caught.value)
    assert text.startswith("f: expected a thing (") and text.endswith("): mend it")
    assert said in text and "\n" not in text and len(text) < 400


def test_errors_of_ours_and_interrupts_pass_as_they_are() -> None:
    for failure in (ConfigError("mine"), KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(failure)) as caught, reading("f", "a thing"):
            raise failure
        assert caught.value is failure


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "/etc/passwd", "..", ".", "", "a\\b", "a\0b", "a\nb", 3, None]
)
def test_a_path_that_climbs_out_is_no_file_name(name: object) -> None:
    with pytest.raises(ValueError, match="plain file names"):
        check_name(name)


def test_a_file_name_is_one() -> None:
    assert check_name("train.parquet") == "train.parquet"


def test_a_symbolic_link_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("s")
    (folder / "real").write_text("r")
    (folder / "inner").symlink_to("real")
    (folder / "outer").symlink_to(tmp_path / "secret")
    (folder / "circle").symlink_to("circle")
    check_inside(folder / "inner", folder)
    with pytest.raises(ValueError, match=r"leads out of the folder, to .*secret"):
        check_inside(folder / "outer", folder)
    with pytest.raises(ValueError, match="leads nowhere"):
        check_inside(folder / "circle", folder)


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("r")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    check_inside(tmp_path / "link" / "file", tmp_path / "link")


def test_the_cache_of_the_hub_is_made_of_links(tmp_path: Path) -> None:
    model = tmp_path / "models--a--b"
    (model / "blobs").mkdir(parents=True)
    (model / "blobs" / "1").write_text("x")
    snapshot = model / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/1")
    check_folder(snapshot, "a model")
    (snapshot / "other").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leads out"):
        check_folder(snapshot, "a model")


def test_a_folder_with_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "sub" / "config.json")
    with pytest.raises(ModelError, match="config.json is a pipe or a device"):
        check_folder(tmp_path, "a model", ModelError)


def test_a_pipe_a_folder_and_too_large_a_file_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a pipe or a device"):
        read_text(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a folder"):
        read_text(tmp_path)
    with open(tmp_path / "large", "wb") as file:
        file.truncate(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(ValueError, match="more than the"):
        read_json(tmp_path / "large")


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "file.json") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ALIASES, "stands for more than"),
        (MERGES, "stands for more than"),
        ("a: &a [*a]", "within what it stands for"),
        ("{" * 5000, "nested deeper"),
        ("- " * 5000, "nested deeper"),
        ("a: 1\n" * 6_000, "more than 5,000 values"),
        ("x" * (MAX_YAML_BYTES + 1), "more than the"),
        ("".join(f"a{i}: &n{i} [{f'*n{i - 1}' if i else 'x'}]\n" for i in range(300)), "nested deeper"),
        ("a: 2024-99-99", "month"),
        ('a: !!int ""', "tag"),
        ("a: !!bool x", "tag"),
        ("a: !!timestamp x", "tag"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: \x00", "special characters"),
    ],
)
def test_yaml_that_would_take_for_ever_or_is_damaged(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(ValueError, match=said) as caught:
        read_yaml(path)
    assert time.process_time() - started < 5 and "\n" not in str(caught.value)


def test_aliases_and_merges_of_an_honest_recipe_are_read(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("a: &a {x: 1, y: [1, 2]}\nb: {<<: *a, y: *a}\n")
    assert read_yaml(tmp_path / "recipe.yaml")["b"] == {"x": 1, "y": {"x": 1, "y": [1, 2]}}
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") is None
