"""SUPPORTED_OPS.md is what the operators say."""

from __future__ import annotations

from tests.conftest import ROOT
from tinycompile.frontend.onnx import IMPORTERS as ONNX_IMPORTERS
from tinycompile.frontend.tflite_ops import IMPORTERS as TFLITE_IMPORTERS
from tinycompile.ops import all_ops
from tinycompile.report.operators import markdown, tflite_operators, tflite_rule


def test_the_file_is_up_to_date() -> None:
    assert (ROOT / "SUPPORTED_OPS.md").read_text() == markdown(), "run `tinycompile ops --markdown > SUPPORTED_OPS.md`"


def test_every_operator_is_listed_with_a_rule() -> None:
    lines = markdown().splitlines()
    for name in (*TFLITE_IMPORTERS, *ONNX_IMPORTERS, *all_ops()):
        assert any(line.startswith(f"| {name} | ") for line in lines), name
    assert all(tflite_rule(name, op) for name, op in tflite_operators().items())


def test_operators_find_their_rule() -> None:
    found = {name: op.kind for name, op in tflite_operators().items() if op is not None}
    assert found["CONV_2D"] == "conv2d"
    assert found["PADV2"] == "pad"
    assert found["RELU_N1_TO_1"] == "relu"
    assert found["SQUEEZE"] == found["EXPAND_DIMS"] == "reshape"
