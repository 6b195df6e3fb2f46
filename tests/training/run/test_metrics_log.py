from __future__ import annotations

import errno
import json
from types import SimpleNamespace

import pytest

from xmc.errors import XMCError
from xmc.training.run.metrics_log import MetricsLog


def test_lines_after_the_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        "".join(json.dumps({"step": step}) + "\n" for step in range(5)) + '{"step": 2, "a": {"b": 1}'
    )
    MetricsLog.truncate(path, 2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]


def test_a_full_disk_is_an_error_that_names_the_log(tmp_path):
    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    accelerator = SimpleNamespace(is_main_process=True, trackers=[], log=full)
    log = MetricsLog(tmp_path / "metrics.jsonl", accelerator)
    with pytest.raises(XMCError, match=r"no space left while writing .*metrics.jsonl \(.* MB are free\)"):
        log.write(3, {"loss": 1.0})
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 3, "loss": 1.0}
