"""A model that keeps the last rows of its input in a variable, as streaming convolutions do."""

from __future__ import annotations

import numpy as np

from tests.support.tflite_builder import SubgraphSpec, TfliteBuilder

ROWS, KEPT, CHANNELS = 3, 2, 4
SHAPE = (1, ROWS, CHANNELS)


def streaming_parts(initialised: bool = True, dtype: str = "int8") -> tuple[TfliteBuilder, list[int], list[int]]:
    """(model, inputs, outputs): a layer of the rows before and the new ones, of which the last are kept; of other types
    than int8 the rows themselves.
    """
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    quant = {"int8": {"scale": 0.05, "zero_point": 3}, "int16": {"scale": 0.001}, "float32": {}}[dtype]
    x, before, both, kept = (
        b.tensor((1, count, CHANNELS), dtype=dtype, name=name, **quant)  # type: ignore[arg-type]
        for name, count in (("x", ROWS), ("before", KEPT), ("both", KEPT + ROWS), ("kept", KEPT))
    )
    handle = b.tensor((), dtype="resource", name="handle")
    if initialised:
        b.op("CALL_ONCE", [], [], InitSubgraphIndex=1)
    b.op("VAR_HANDLE", [], [handle], Container="", SharedName="rows")
    b.op("READ_VARIABLE", [handle], [before])
    b.op("CONCATENATION", [before, x], [both], Axis=1)
    begin, size = (b.constant(np.array(v, np.int32)) for v in ((0, ROWS, 0), (1, KEPT, CHANNELS)))
    b.op("SLICE", [both, begin, size], [kept])
    b.op("ASSIGN_VARIABLE", [handle, kept], [])
    y = both
    if dtype == "int8":
        y = b.tensor((1, KEPT + ROWS, 5), 0.1, -4, name="y")
        w = b.constant(rng.integers(-127, 128, (5, CHANNELS)).astype(np.int8), 0.01)
        bias = b.constant(rng.integers(-300, 300, 5).astype(np.int32), 5e-4)
        b.op("FULLY_CONNECTED", [both, w, bias], [y], KeepNumDims=True)
    first = TfliteBuilder()
    own = first.tensor((), dtype="resource", name="handle")
    initial = rng.integers(-100, 100, (1, KEPT, CHANNELS)).astype(dtype)
    value = first.constant(initial, **quant, name="initial")  # type: ignore[arg-type]
    first.op("VAR_HANDLE", [], [own], Container="", SharedName="rows")
    first.op("ASSIGN_VARIABLE", [own, value], [])
    b.others.append(SubgraphSpec(first, [], []))
    return b, [x], [y]


def streaming_model() -> bytes:
    b, inputs, outputs = streaming_parts()
    return b.build(inputs, outputs)


def rows(steps: int, dtype: str = "int8") -> list[np.ndarray]:
    """Inputs of so many steps."""
    return list(np.random.default_rng(1).integers(-128, 128, (steps, *SHAPE)).astype(dtype))
