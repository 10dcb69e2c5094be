"""ONNX files newer than the installed packages: each command computes them, or says in one sentence what is too new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result

from tests.conftest import DIGITS
from tinycompile.cli import main
from tinycompile.frontend.onnx_file import read_proto
from tinycompile.quantize.execution import session_of

CALIB = DIGITS / "digits_calib.npz"
COMMANDS: dict[str, tuple[object, ...]] = {
    "inspect": (),
    "build": ("--calib", CALIB, "--target", "host", "-o", "out", "--quiet"),
    "cost": ("--calib", CALIB),
    "quantize": ("--calib", CALIB, "-o", "made.onnx"),
    "calib": (CALIB, "-o", "made.npz", "--model"),
}


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command on the digits' model as another exporter would have written it."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *, opset: int = 13, ir: int | None = None, **others: int) -> Result:
        model: Any = onnx.load(str(DIGITS / "digits.onnx"))
        model.opset_import[0].version = opset
        model.ir_version = ir or model.ir_version
        model.opset_import.extend(onnx.helper.make_opsetid("ai.onnx.ml", others[key]) for key in others)
        node = model.graph.node[0]
        node.domain = "ai.onnx.ml" if others else node.domain
        onnx.save(model, "newer.onnx")
        given = [str(a) for a in COMMANDS[command]]
        words = [*given, "newer.onnx"] if command == "calib" else ["newer.onnx", *given]
        result = CliRunner().invoke(main, [command, *words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def test_a_newer_format_of_known_operators(newer: Callable[..., Result]) -> None:
    """The newest that onnx checks, which onnxruntime may not read."""
    assert newer("inspect", ir=onnx.IR_VERSION).exit_code == 0
    assert len(session_of(read_proto(Path("newer.onnx"))).get_outputs()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_operators_that_onnx_does_not_know_yet(command: str, newer: Callable[..., Result]) -> None:
    result = newer(command, opset=onnx.defs.onnx_opset_version() + 1)
    assert result.exit_code == 2
    why = f"opset {onnx.defs.onnx_opset_version() + 1}: onnx {onnx.__version__}, which is installed, knows those up to"
    assert "newer.onnx: an operator is not supported" in result.output and why in result.output
    assert not list(Path().glob("made*")) and not Path("out").exists()


def test_those_of_other_domains(newer: Callable[..., Result]) -> None:
    newest = onnx.defs.onnx_ml_opset_version()
    result = newer("inspect", ml=newest + 1)
    assert result.exit_code == 2
    assert f"opset {newest + 1} of ai.onnx.ml: onnx" in result.output and f"up to {newest};" in result.output


@pytest.mark.parametrize("command", ["build", "quantize"])
def test_what_onnxruntime_refuses(command: str, newer: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be older than onnx; its reasons are its own."""

    def session(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("Current official support for domain ai.onnx is till opset 12.\nat: somewhere")

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    result = newer(command)
    assert result.exit_code == 2
    assert "newer.onnx: onnxruntime refuses the model" in result.output
    assert (
        f"why: {onnxruntime.__version__}: Current official support for domain ai.onnx is till opset 12."
        in result.output
    )
