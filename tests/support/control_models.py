"""Models with IF and WHILE: a counter, a vector that changes, one that stays, and a limit; a choice between graphs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.support.tflite_builder import SubgraphSpec, TfliteBuilder

SHAPE, QUANT = (1, 6), {"int8": {"scale": 0.05, "zero_point": -3}, "int16": {"scale": 0.001}, "float32": {}}


@dataclass
class ControlModel:
    """The main subgraph, with its inputs and outputs; the others are in the builder."""

    dtype: str = "int8"
    builder: TfliteBuilder = field(default_factory=TfliteBuilder)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def build(self) -> bytes:
        return self.builder.build(self.inputs, self.outputs)

    def vector(self, b: TfliteBuilder, name: str) -> int:
        return b.tensor(SHAPE, dtype=self.dtype, name=name, **QUANT[self.dtype])  # type: ignore[arg-type]

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
                found.append(rng.integers(-128, 128, (count, *SHAPE)).astype(self.dtype))
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
    if model.dtype == "int8":
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
