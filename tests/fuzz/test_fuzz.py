"""A short run with a fixed seed; `make fuzz` runs a long one."""

from __future__ import annotations

import json
from pathlib import Path

import tflite

from tests.frontend.typed_models import NAMES
from tests.fuzz.mutate import Mutator
from tests.fuzz.run import supervise
from tests.fuzz.seeds import tflite_seeds
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_shapes import FOLDERS
from tinycompile.frontend.tflite_support import SUPPORT


def test_files_end_in_success_or_in_our_errors(tmp_path: Path) -> None:
    counts = supervise(seed=1, first=0, files=600, output=tmp_path)
    crashes = [path.read_text()[-500:] for path in sorted(tmp_path.glob("crash_*.txt"))]
    assert not crashes and not counts["died"], crashes
    assert sum(counts.values()) == 600
    assert counts[".tflite compiled"] > 30 and counts[".onnx compiled"] > 8  # mutations aren't only rubbish
    assert counts[".tflite UnsupportedError"] > 30 and counts[".onnx ModelFileError"] > 30
    assert json.loads((tmp_path / "summary.json").read_text())["slowest_seconds"] < 10


def test_every_operator_and_type_is_mutated() -> None:
    names = {code: name for name, code in vars(tflite.BuiltinOperator).items()}
    operators, found = set[str](), set[tuple[str, str]]()
    for builder, _, _ in tflite_seeds():
        for op in builder.ops:
            name = op.custom or names[op.code]
            operators.add(name)  # also one without tensors, such as CALL_ONCE
            found |= {(name, NAMES[builder.tensors[index].dtype]) for index in (*op.inputs, *op.outputs) if index >= 0}
    assert operators >= IMPORTERS.keys() | FOLDERS.keys()
    wanted = {(name, t) for name, support in SUPPORT.items() for t in support.oracles if t != "other"}
    assert wanted <= found


def test_a_file_follows_from_its_number() -> None:
    for index in range(20):
        assert Mutator(7, index).tflite() == Mutator(7, index).tflite()
        assert Mutator(7, index).onnx() == Mutator(7, index).onnx()
