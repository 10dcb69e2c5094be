"""Node cases of `onnx.backend.test` whose operators TFLite has, too, between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.support.onnx_quantized_nodes import outcome, quantized_cases

LISTED = Path(__file__).parent.parent / "data" / "onnx_quantized_nodes.toml"


def test_all_are_int8_but_those_listed() -> None:
    """And none is wrong: int8 results are onnxruntime's, or those of exact sums where its floats tie."""
    listed = {
        name: verdict
        for verdict, names in tomllib.loads(LISTED.read_text()).items()
        for each in names.values()
        for name in each
    }
    found = {name: outcome(case, samples=1) for name, case in quantized_cases().items()}
    other = {name: each for name, each in found.items() if each.verdict != "int8"}
    assert {name: each.verdict for name, each in other.items()} == listed, {
        name: each for name, each in other.items() if listed.get(name) != each.verdict
    }
