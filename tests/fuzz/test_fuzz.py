"""A short run with a fixed seed; `make fuzz` runs a long one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    ("limits", "then", "ends"),
    [
        ((0.05, 60), "while True: pass", -signal.SIGPROF),
        ((0.05, 60), "time.sleep(0.3)", 0),  # others have the processor
        ((60, 0.05), "time.sleep(60)", 1),
    ],
)
def test_a_file_has_so_much_of_the_processor_and_not_of_the_clock(
    limits: tuple[float, float], then: str, ends: int
) -> None:
    code = f"import time; from tests.fuzz.run import watch; watch{limits}\n{then}\nwatch(0, 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == ends, done.stderr
    assert ('File "<string>", line 2 in <module>' in done.stderr) == (ends != 0)


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
