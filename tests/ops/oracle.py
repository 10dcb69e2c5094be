"""A model through frontend and interpreter, compared with LiteRT tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import OpResolverType
from hypothesis import settings
from hypothesis import strategies as st

from tests.support.litert import Oracle
from tests.support.tflite_builder import NONE, RELU, RELU6, RELU_N1_TO_1, TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph, Site, verify

thorough = settings(max_examples=40, deadline=None, derandomize=True)
quick = settings(max_examples=15, deadline=None, derandomize=True)

scales = st.one_of(st.floats(2.0**-10, 2, width=32), st.sampled_from([2.0**-n for n in range(10)]))
zero_points = st.one_of(st.integers(-128, 127), st.sampled_from([-128, -1, 0, 127]))
activations = st.sampled_from([NONE, RELU, RELU6, RELU_N1_TO_1])
seeds = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def full_range(rng: np.random.Generator, shape: Sequence[int], dtype: str = "int8") -> np.ndarray:
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, tuple(shape)).astype(dtype)


def all_values(channels: int = 1) -> np.ndarray:
    """Every int8 value, shape (1, 16, 16, channels)."""
    return np.repeat(np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1), channels, axis=3)


def check_model(
    model: bytes, inputs: Sequence[np.ndarray], resolver: OpResolverType | None = None, tolerance: float = 0.0
) -> Graph:
    """Every tensor of the model that our graph has must be LiteRT's, bit for bit; sums of floats within a tolerance."""
    graph = import_tflite(model, "model", "model.tflite")
    verify(graph)
    values, expected = interpreter.run(graph, inputs), Oracle(model, resolver).run(inputs)
    for name, source in graph.sources.items():
        ours, theirs = values[name], expected[source.index]
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), name
        wrong = ours.view(np.uint8) != theirs.view(np.uint8) if ours.dtype == np.float32 else ours != theirs
        if tolerance and ours.dtype == np.float32:
            wrong = ~np.isclose(ours, theirs, tolerance, tolerance)
        assert not np.any(wrong), f"{name}: {np.count_nonzero(wrong)} of {wrong.size} differ"
    return graph


def check(b: TfliteBuilder, outputs: Sequence[int], inputs: dict[int, np.ndarray]) -> Graph:
    """The same for a model under construction; `inputs` maps tensor indices to values."""
    return check_model(b.build(list(inputs), outputs), list(inputs.values()))


def check_floats(b: TfliteBuilder, outputs: Sequence[int], inputs: dict[int, np.ndarray]) -> Graph:
    """As `check`, of floats among operators of int8: beside one whose values nobody needs."""
    x, y = b.tensor((1, 2), 0.5, 3), b.tensor((1, 2), 0.25, -3)
    b.op("RELU", [x], [y])
    return check(b, [*outputs, y], {**inputs, x: np.zeros((1, 2), np.int8)})


def only_site(graph: Graph) -> Site:
    (node,) = graph.nodes
    return graph.site(node)
