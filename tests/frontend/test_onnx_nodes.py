"""`onnx.backend.test`'s node cases: some as C on this machine; `make test-full` or `make onnx-nodes` has all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from onnx import ModelProto

from tests.support.full import FULL
from tests.support.onnx_nodes import NodeCase, assert_close, check, collected, imported, refusals, skips
from tinycompile import interpreter
from tinycompile.errors import TinycompileError

GROUPS = 12
SHARE = 1 if FULL else 10
"""One case of so many is compiled."""


def passing() -> list[NodeCase]:
    """Made when they are asked for, since onnx computes its cases."""
    return [case for case in collected() if case.name not in skips() and case.name not in refusals()]


@pytest.mark.parametrize("group", range(GROUPS))
def test_cases(group: int, tmp_path: Path) -> None:
    failed = dict[str, str]()
    for case in passing()[::SHARE][group::GROUPS]:
        folder = tmp_path / case.name
        folder.mkdir()
        try:
            check(case, folder)
        except Exception as error:  # all failures of a group at once
            failed[case.name] = f"{type(error).__name__}: {str(error).strip()[:300]}"
    assert not failed


SINCE = {"int4": 21, "uint4": 21, "int2": 25, "uint2": 25, "blocked": 21}
"""The opset in which DequantizeLinear and QuantizeLinear got them."""


def test_integers_of_few_bits_in_every_opset(tmp_path: Path) -> None:
    """onnx's cases are of its newest opset."""
    seen = 0
    for case in passing():
        kind = next((kind for kind in SINCE if f"_{kind}" in case.name), None)
        if kind is None or "quantizelinear" not in case.name:
            continue
        for opset in range(SINCE[kind], 26):
            model = ModelProto.FromString(case.model.SerializeToString())
            model.opset_import[0].version = opset
            graph, inputs = imported(replace(case, model=model), tmp_path / "node.onnx")
            values = interpreter.run(graph, inputs)
            for name, expected in zip(graph.outputs, case.outputs, strict=True):
                assert_close(values[name], expected)
            seen += 1
    assert seen >= 7 * 5 + 4


def test_there_are_enough() -> None:
    """Issue 29 asks for 1,150 cases; what is left out or refused is listed with a reason."""
    listed, names = {*skips(), *refusals()}, {case.name for case in collected()}
    assert listed <= names, sorted(listed - names)
    assert len(passing()) >= 1150


def test_what_is_listed_as_refused_is_refused(tmp_path: Path) -> None:
    """And with a reason for the user: a case that an importer learns to read is compiled like all others."""
    imports = list[str]()
    for case in collected():
        if case.name in refusals():
            try:
                imported(case, tmp_path / "node.onnx")
            except TinycompileError:
                continue
            imports.append(case.name)
    assert not imports
