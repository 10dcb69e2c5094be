"""Models of one SVDF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.support.tflite_builder import NO_TENSOR, NONE, RELU, TfliteBuilder
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Site


@dataclass(frozen=True)
class SvdfForm:
    """What a model has; `element_type` is that of the input."""

    element_type: str = "int8"
    batch: int = 1
    inputs: int = 7
    units: int = 5
    rank: int = 2
    memory: int = 6
    biased: bool = True
    activation: int | None = None


def svdf_parts(form: SvdfForm, seed: int = 0) -> tuple[TfliteBuilder, list[int], list[int]]:
    """(model, inputs, outputs)."""
    b, rng, filters = TfliteBuilder(), np.random.default_rng(seed), form.units * form.rank
    shapes = [(form.batch, form.inputs), (form.batch, filters * form.memory), (form.batch, form.units)]
    if form.element_type == "float32":
        x, state, y = (b.tensor(shape, dtype="float32", name=n) for shape, n in zip(shapes, "xsy", strict=True))
        w, times = (b.constant(rng.normal(0, 0.4, (filters, n)).astype(np.float32)) for n in (form.inputs, form.memory))
        bias = b.constant(rng.normal(0, 0.3, form.units).astype(np.float32)) if form.biased else NO_TENSOR
    else:
        zero_points = rng.integers(-50, 50, 2).tolist() if form.element_type == "int8" else [0, 0]
        x = b.tensor(shapes[0], float(rng.uniform(0.01, 0.05)), zero_points[0], dtype=form.element_type, name="x")
        state = b.tensor(shapes[1], float(rng.uniform(1e-5, 1e-4)), dtype="int16", name="s")
        y = b.tensor(shapes[2], float(rng.uniform(0.01, 0.05)), zero_points[1], dtype=form.element_type, name="y")
        w = b.constant(rng.integers(-127, 128, (filters, form.inputs)).astype(np.int8), 0.01)
        times = b.constant(rng.integers(-32767, 32768, (filters, form.memory)).astype(np.int16), 1e-5)
        own = rng.integers(-(10**7), 10**7, form.units).astype(np.int32)
        bias = b.constant(own, 1e-9) if form.biased else NO_TENSOR
    b.tensors[state].is_variable = True
    activation = form.activation if form.activation is not None else NONE if form.element_type == "float32" else RELU
    b.op("SVDF", [x, w, times, bias, state], [y], Rank=form.rank, FusedActivationFunction=activation).version = 3
    return b, [x], [y]


def svdf_sequence(form: SvdfForm, inferences: int) -> list[np.ndarray]:
    """Inputs of so many inferences."""
    rng, shape = np.random.default_rng(1), (inferences, form.batch, form.inputs)
    if form.element_type == "float32":
        return list(rng.normal(0, 1, shape).astype(np.float32))
    return list(rng.integers(-128, 128, shape).astype(np.int8))


def svdf_site(form: SvdfForm, seed: int = 0) -> Site:
    """The layer alone."""
    b, inputs, outputs = svdf_parts(form, seed)
    floats = "all" if form.element_type == "float32" else "islands"
    graph = import_tflite(b.build(inputs, outputs), "m", "m.tflite", floats=floats)
    (node,) = graph.nodes
    return graph.site(node)
