"""`--json`: documented keys, nothing else on the standard output, the same exit codes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import DIGITS, ROOT
from tinycompile.cli import main
from tinycompile.options import Options
from tinycompile.pipeline import compile_together

MODEL, SAMPLES = DIGITS / "digits_int8.tflite", DIGITS / "digits_samples.npz"


def parsed(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(main, [*(str(a) for a in arguments), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def documented(command: str) -> set[str]:
    """The keys that docs/command_line.md lists."""
    page = (ROOT / "docs" / "command_line.md").read_text()
    (row,) = re.findall(rf"^\| `{command}` \| (.*) \|$", page.split("## JSON")[1], re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json") / "out"
    compile_together([MODEL], Options(target="mps2-an386", pareto=False), output=folder)
    return folder


def test_run(build: Path, tmp_path: Path) -> None:
    found = parsed("run", build, "--input", SAMPLES, "--limit", 2, "--output", tmp_path / "y.npz")
    assert set(found) == documented("run")
    assert found["samples"] == len(found["instructions"]) == 2 and min(found["instructions"]) > 1000
    assert found["output"] == str(tmp_path / "y.npz") and found["machine"] == "mps2-an386"


def test_verify_and_bisect(build: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="verify needs LiteRT")
    from tests.e2e.test_certificate import break_layer

    found = parsed("verify", build, "--samples", SAMPLES, "--limit", 1)
    assert found == json.loads((build / "certificate.json").read_text())
    assert set(found) == documented("verify")
    assert parsed("verify", build, "--check-certificate") == found
    found = parsed("bisect", build, "--input", SAMPLES, "--limit", 1)
    assert set(found) == documented("bisect") and found["difference"] is None and found["agreed"] > 5
    np.savez(tmp_path / "real.npz", input_0=np.load(SAMPLES)["input_0"][:1].astype(np.float32))
    assert (
        parsed("bisect", build, "--input", tmp_path / "real.npz")["difference"] is None
    )  # floats, as verify takes them
    wrong = Path(shutil.copytree(build, tmp_path / "out"))
    break_layer(wrong, 2)
    found = parsed("verify", wrong, "--samples", SAMPLES, "--limit", 1, code=1)
    assert found["differences"] and found["first_difference"]
    found = parsed("bisect", wrong, "--input", SAMPLES, "--limit", 1, code=1)
    assert {"layer", "tensor", "index", "expected", "got", "count"} <= set(found["difference"])


def test_targets_and_ops() -> None:
    boards = parsed("targets")
    assert set(boards[0]) == documented("targets")
    board = next(b for b in boards if b["name"] == "stm32f746")
    assert board["core"] and {m["name"] for m in board["memories"]} >= {"flash", "ram"}
    found = parsed("ops")
    assert set(found) == documented("ops")
    assert found["tflite"]["CONV_2D"]["becomes"] == "conv2d" and found["onnx"]["Conv"]["float32"] is True
    assert CliRunner().invoke(main, ["ops", "--json", "--markdown"]).exit_code == 2


def test_plan() -> None:
    found = parsed("plan", MODEL)
    assert set(found) == documented("plan") - {"pareto", "model"}
    (model,) = found["models"]
    assert model["arena_bytes"] >= model["arena_lower_bound_bytes"] > 0
    assert max(b["offset"] + b["bytes"] for b in model["arena"]["buffers"]) <= model["arena_bytes"]
    assert parsed("plan", MODEL, "--pareto")[0]["pareto"][0]["arena_bytes"]
