"""`--backend class`: the softmax at the end goes where that moves no largest score."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph, verify
from tinycompile.passes.fold_softmax import without_softmax


def model(
    *,
    kind: str = "SOFTMAX",
    shape: tuple[int, ...] = (1, 6),
    step: float = 0.5,
    float_output: bool = False,
    read_twice: bool = False,
) -> Graph:
    """int8 x -> relu -> softmax -> reshape (-> dequantize) -> y."""
    b = TfliteBuilder()
    x, r = (b.tensor(shape, step, 3, name=name) for name in ("x", "r"))
    scale, zero = (1 / 256, -128) if kind == "SOFTMAX" else (16 / 256, 127)
    p, y = b.tensor(shape, scale, zero, name="p"), b.tensor((1, int(np.prod(shape)), 1), scale, zero, name="y")
    b.op("RELU", [x], [r])
    b.op(kind, [r], [p], **({"Beta": 1.0} if kind == "SOFTMAX" else {}))
    b.op("RESHAPE", [p, b.constant(np.array([1, -1, 1], np.int32))], [y])
    outputs = [y]
    if float_output:
        outputs = [b.tensor((1, int(np.prod(shape)), 1), dtype="float32", name="f")]
        b.op("DEQUANTIZE", [y], outputs)
    return import_tflite(b.build([x], outputs + ([r] if read_twice else [])), "m", "m.tflite")


@pytest.mark.parametrize("kind", ["SOFTMAX", "LOG_SOFTMAX"])
@pytest.mark.parametrize("float_output", [False, True])
def test_the_scores_in_front_of_it_are_the_output(kind: str, float_output: bool) -> None:
    graph = model(kind=kind, float_output=float_output)
    found = without_softmax(graph, 0)
    assert found is not None
    verify(found, "fold_softmax")
    assert found.outputs == ("r",) and [node.op.kind for node in found.nodes] == ["relu"]
    x = np.array([[3, 7, -20, 7, 6, 0]], np.int8)
    (before,), (after,) = ([interpreter.run(each, [x])[name] for name in each.outputs] for each in (graph, found))
    assert before.argmax() == after.argmax() == 1


def test_what_a_softmax_makes_equal_is_told_apart() -> None:
    graph = model(step=0.001)
    found = without_softmax(graph, 0)
    assert found is not None
    x = np.array([[20, 21, 24, 22, 23, 20]], np.int8)
    values = interpreter.run(graph, [x])
    assert len(set(values["p"].ravel().tolist())) == 1
    assert interpreter.run(found, [x])["r"].argmax() == 2


def test_it_stays_where_it_does_more_or_somebody_reads_it() -> None:
    assert without_softmax(model(shape=(1, 2, 6)), 0) is None  # of each row: not of the whole
    assert without_softmax(model(read_twice=True), 0) is None  # its operand is an output of its own
    folded = without_softmax(model(), 0)
    assert folded is not None and without_softmax(folded, 0) is None
