"""Models with IF and WHILE: a counter, a vector that changes, one that stays, and a limit; a choice between graphs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.support.tflite_builder import SubgraphSpec, TfliteBuilder

SHAPE, QUANT = (1, 6), {"int8": {"scale": 0.05, "zero_point": -3}, "int16": {"scale": 0.001}, "float32": {}}


@dataclass
class ControlModel:
    """The main subgraph, with its inputs and outputs; the others are in the builder."""

    element_type: str = "int8"
    builder: TfliteBuilder = field(default_factory=TfliteBuilder)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def build(self) -> bytes:
        return self.builder.build(self.inputs, self.outputs)

    def vector(self, b: TfliteBuilder, name: str) -> int:
        return b.tensor(SHAPE, dtype=self.element_type, name=name, **QUANT[self.element_type])  # type: ignore[arg-type]

    def samples(self, count: int, seed: int = 0) -> list[np.ndarray]:
        """(count, *shape) for each input: small counters, any vectors and flags."""
        rng, found = np.random.default_rng(seed), list[np.ndarray]()
        for index in self.inputs:
            name = self.builder.tensors[index].name
            if name in ("i", "limit"):
                found.append(rng.integers(0, 7, (count, 1)).astype(np.int32))
            elif name == "c":
                found.append(rng.integers(0, 2, (count, 1)).astype(bool))
            else:
                shape = self.builder.tensors[index].shape
                found.append(rng.integers(-128, 128, (count, *shape)).astype(self.element_type))
        return found


def number(b: TfliteBuilder, name: str, dtype: str = "int32") -> int:
    return b.tensor((1,), dtype=dtype, name=name)


def _condition(model: ControlModel) -> SubgraphSpec:
    """(i, v, w, limit): i < limit."""
    b = TfliteBuilder()
    inputs = [number(b, "i"), model.vector(b, "v"), model.vector(b, "w"), number(b, "limit")]
    going = number(b, "going", "bool")
    b.op("LESS", [inputs[0], inputs[3]], [going])
    return SubgraphSpec(b, inputs, [going])


def _body(model: ControlModel, layers: int) -> SubgraphSpec:
    """(i, v, w, limit): i + 1, v through layers and plus w, the others as they are."""
    b = TfliteBuilder()
    i, v, w, limit = inputs = [number(b, "i"), model.vector(b, "v"), model.vector(b, "w"), number(b, "limit")]
    after, k = number(b, "after"), None
    b.op("ADD", [i, b.constant(np.array([1], np.int32))], [after])
    if model.element_type == "int8":
        k = b.constant(np.random.default_rng(0).integers(-60, 61, (6, 6)).astype(np.int8), 0.01)
    for n in range(layers):
        if k is not None:
            product = model.vector(b, f"product {n}")
            b.op("FULLY_CONNECTED", [v, k, -1], [product])
            v = product
        total = model.vector(b, f"sum {n}")
        b.op("ADD", [v, w], [total])
        v = total
    return SubgraphSpec(b, inputs, [after, v, w, limit])


def loop(limit: int | None = None, *, known: bool = False, layers: int = 1, dtype: str = "int8") -> ControlModel:
    """`limit` None: an input of the model. `known`: the counter begins with a constant."""
    model = ControlModel(dtype)
    b = model.builder
    i = b.constant(np.array([1], np.int32)) if known else number(b, "i")
    v, w = model.vector(b, "v"), model.vector(b, "w")
    last = number(b, "limit") if limit is None else b.constant(np.array([limit], np.int32))
    results = [number(b, "j"), model.vector(b, "y"), model.vector(b, "same"), number(b, "end")]
    b.op("WHILE", [i, v, w, last], results, CondSubgraphIndex=1, BodySubgraphIndex=2)
    b.others += [_condition(model), _body(model, layers)]
    model.inputs = [*([] if known else [i]), v, w, *([last] if limit is None else [])]
    model.outputs = [*results[1:3], *([] if known else results[:1])]
    return model


def gru(steps: int = 7, inputs: int = 4, units: int = 6) -> ControlModel:
    """A gated recurrent unit as Keras writes it: a loop over the steps, which takes a row of the sequence and
    puts the state into a row of the results.
    """
    model, rng = ControlModel(), np.random.default_rng(5)
    b, inner, condition = model.builder, TfliteBuilder(), TfliteBuilder()
    row, results, state = {"scale": 1 / 128, "zero_point": 0}, (steps, units), (1, units)
    x = b.tensor((steps, inputs), 0.02, 3, name="sequence")
    zero, start = b.constant(np.array([0], np.int32)), b.constant(np.zeros(state, np.int8), **row)
    rows = b.constant(np.zeros(results, np.int8), **row)
    found = [number(b, "end"), b.tensor(state, **row), b.tensor(results, **row), b.tensor((steps, inputs), 0.02, 3)]
    b.op("WHILE", [zero, start, rows, x], found, CondSubgraphIndex=1, BodySubgraphIndex=2)
    i, going = number(condition, "i"), number(condition, "going", "bool")
    others = [
        condition.tensor(state, **row),
        condition.tensor(results, **row),
        condition.tensor((steps, inputs), 0.02, 3),
    ]
    condition.op("LESS", [i, condition.constant(np.array([steps], np.int32))], [going])
    b.others.append(SubgraphSpec(condition, [i, *others], [going]))

    i, h, written, sequence = (
        number(inner, "i"),
        inner.tensor(state, **row),
        inner.tensor(results, **row),
        inner.tensor((steps, inputs), 0.02, 3),
    )

    def layer(operand: int, depth: int, scale: float) -> int:
        weights = inner.constant(rng.integers(-127, 128, (3 * units, depth)).astype(np.int8), 0.01)
        bias = inner.constant(rng.integers(-200, 200, 3 * units).astype(np.int32), scale * 0.01)
        result = inner.tensor((1, 3 * units), 0.03, 0)
        inner.op("FULLY_CONNECTED", [operand, weights, bias], [result])
        return result

    def parts(operand: int) -> list[int]:
        pieces = [inner.tensor(state, 0.03, 0) for _ in range(3)]
        inner.op("SPLIT", [inner.constant(np.array(1, np.int32)), operand], pieces, NumSplits=3)
        return pieces

    def binary(kind: str, one: int, other: int, scale: float, zero_point: int = 0) -> int:
        result = inner.tensor(state, scale, zero_point)
        inner.op(kind, [one, other], [result])
        return result

    def unary(kind: str, operand: int, scale: float, zero_point: int = 0) -> int:
        result = inner.tensor(state, scale, zero_point)
        inner.op(kind, [operand], [result])
        return result

    now, after, place = inner.tensor((1, inputs), 0.02, 3), number(inner, "after"), inner.tensor((2,), dtype="int32")
    inner.op("GATHER", [sequence, i], [now], Axis=0)
    of_x, of_h = parts(layer(now, inputs, 0.02)), parts(layer(h, units, 1 / 128))
    update = unary("LOGISTIC", binary("ADD", of_x[0], of_h[0], 0.05), 1 / 256, -128)
    reset = unary("LOGISTIC", binary("ADD", of_x[1], of_h[1], 0.05), 1 / 256, -128)
    new = unary("TANH", binary("ADD", of_x[2], binary("MUL", reset, of_h[2], 0.03), 0.05), 1 / 128)
    kept, left = binary("MUL", update, h, 1 / 128), binary("SUB", new, binary("MUL", update, new, 1 / 128), 1 / 128)
    following = binary("ADD", kept, left, 1 / 128)
    inner.op("CONCATENATION", [i, inner.constant(np.array([0], np.int32))], [place], Axis=0)
    rows_after = inner.tensor(results, **row)
    inner.op("DYNAMIC_UPDATE_SLICE", [written, following, place], [rows_after])
    inner.op("ADD", [i, inner.constant(np.array([1], np.int32))], [after])
    b.others.append(SubgraphSpec(inner, [i, h, written, sequence], [after, following, rows_after, sequence]))
    model.inputs, model.outputs = [x], found[1:3]
    return model


def choice(condition: bool | None = None, *, dtype: str = "int8") -> ControlModel:
    """v + w and w, or v + v and a constant."""
    model = ControlModel(dtype)
    b = model.builder
    chosen = number(b, "c", "bool") if condition is None else b.constant(np.array([condition]))
    v, w, x, y = (model.vector(b, name) for name in "vwxy")
    b.op("IF", [chosen, v, w], [x, y], ThenSubgraphIndex=1, ElseSubgraphIndex=2)
    then, otherwise = TfliteBuilder(), TfliteBuilder()
    one, other, total = (model.vector(then, name) for name in ("one", "other", "sum"))
    then.op("ADD", [one, other], [total])
    b.others.append(SubgraphSpec(then, [one, other], [total, other]))
    one, other, total = (model.vector(otherwise, name) for name in ("one", "other", "sum"))
    otherwise.op("ADD", [one, one], [total])
    fixed = otherwise.constant(np.arange(6).reshape(SHAPE).astype(dtype), **QUANT[dtype])  # type: ignore[arg-type]
    b.others.append(SubgraphSpec(otherwise, [one, other], [total, fixed]))
    model.inputs, model.outputs = [*([chosen] if condition is None else []), v, w], [x, y]
    return model
