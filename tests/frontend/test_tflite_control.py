"""IF and WHILE against LiteRT: what is known, what is written out, what is a loop or a choice in C; what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.control_models import ControlModel, choice, gru, loop
from tests.support.litert import Oracle
from tinycompile import interpreter
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import verify
from tinycompile.passes import optimize
from tinycompile.verify.operators import Operators

LAYER = ["fully_connected", "add"]
MODELS: dict[str, tuple[Callable[[], ControlModel], list[str]]] = {
    "loop": (loop, ["while_loop"]),
    "its end is known": (lambda: loop(4), ["while_loop"]),
    "long": (lambda: loop(9, known=True, layers=4), ["while_loop"]),
    "short": (lambda: loop(3, known=True), ["add", *LAYER] * 2),
    "no turn": (lambda: loop(1, known=True), []),
    "recurrent": (gru, ["while_loop"]),
    "choice": (choice, ["conditional"]),
    "then": (lambda: choice(True), ["add"]),
    "otherwise": (lambda: choice(False), ["add"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_against_litert(name: str) -> None:
    make, kinds = MODELS[name]
    model = make()
    content = model.build()
    graph = import_tflite(content, "m", "m.tflite")
    verify(graph)
    assert [node.op.kind for node in graph.nodes] == kinds
    oracle, samples = Oracle(content), model.samples(6)
    apart = Operators(content, 0)  # as `verify` asks where it can't ask for the whole file
    for inputs in zip(*samples, strict=True):
        found = oracle.run(inputs)
        theirs = [found[index] for index in model.outputs]
        for each in (graph, optimize(graph)):
            values = interpreter.run(each, inputs)
            np.testing.assert_equal([values[n] for n in each.outputs], theirs)
        alone = apart.computed(dict(zip(model.inputs, inputs, strict=True)), lambda _: None)
        np.testing.assert_equal([alone[index] for index in model.outputs], theirs)
    assert not apart.unwitnessed


def message(model: ControlModel) -> str:
    with pytest.raises((UnsupportedError, ModelFileError)) as error:
        import_tflite(model.build(), "m", "m.tflite")
    return str(error.value)


def test_what_is_refused() -> None:
    model = loop()
    body = model.builder.others[1].content
    body.op("CUMSUM", [1, 0], [model.vector(body, "other")])
    assert "WHILE 'j' (operator 0)" in message(model) and "body_subgraph_index is 2: in it, CUMSUM" in message(model)
    model = loop()
    model.builder.others[1].content.tensors[1].zero_point = [4]
    assert "body_subgraph_index is 2: it takes int8[1x6] with another scale or zero point" in message(model)
    model = loop()
    model.builder.others[0].content.tensors[1].shape = [1, 5]
    assert "cond_subgraph_index is 1: it takes int8[1x5] where there is int8[1x6]" in message(model)
    model = choice()
    model.builder.ops[0].fields["ElseSubgraphIndex"] = 7
    assert "has then_subgraph_index or else_subgraph_index 7 of 3" in message(model)
    model = choice()
    then = model.builder.others[0].content
    inner = then.constant(np.array([True])), 0, 1
    then.op("IF", inner, [model.vector(then, n) for n in "ab"], ThenSubgraphIndex=1, ElseSubgraphIndex=1)
    assert "more than 8 deep" in message(model)
    model = choice()
    model.builder.others[1].outputs = [2, 2]
    assert "else_subgraph_index is 2: it has one output twice" in message(model)
    model = loop()
    body = model.builder.others[1]
    body.outputs = [body.outputs[0], body.inputs[2], body.inputs[1], body.inputs[3]]
    assert "its output 2 is its input 1, which LiteRT overwrites" in message(model)
    model = choice()
    model.builder.others[0].content.tensors[0].is_variable = True
    assert "a variable" in message(model)
