"""A short run with a fixed seed; `make fuzz` runs a long one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fuzz.mutate import Mutator
from tests.fuzz.run import supervise


def test_files_end_in_success_or_in_our_errors(tmp_path: Path) -> None:
    counts = supervise(seed=1, first=0, files=1500, output=tmp_path)
    crashes = [path.read_text()[-500:] for path in sorted(tmp_path.glob("crash_*.txt"))]
    assert not crashes and not counts["died"], crashes
    assert sum(counts.values()) == 1500
    assert counts[".tflite compiled"] > 80 and counts[".onnx compiled"] > 20  # mutations aren't only rubbish
    assert counts[".tflite UnsupportedError"] > 80 and counts[".onnx ModelFileError"] > 80
    assert json.loads((tmp_path / "summary.json").read_text())["slowest_seconds"] < 10


def test_a_file_follows_from_its_number() -> None:
    for index in range(20):
        assert Mutator(7, index).tflite() == Mutator(7, index).tflite()
        assert Mutator(7, index).onnx() == Mutator(7, index).onnx()
