"""Models of one long short-term memory, in every form that TFLite has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support.tflite_builder import NO_TENSOR, TANH, TfliteBuilder
from tinycompile.choices import Runtime
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Site

STATES = {"int8": "int16", "int16": "int16", "float32": "float32"}
"""The type of the cell, by that of the sequence."""


@dataclass(frozen=True)
class LstmForm:
    """What a model has.

    Attributes:
        element_type: of the sequence.
        outputs: behind a projection; 0 without one.
        hidden: quantisation of what is projected; None for that of the state.
        gate_scale: of gates in front of their normalisation, about; 0 where the file has none.
        factor_scale: of what normalised gates are multiplied by.
        weights: the smallest and the largest of the matrices.
        gain: of all weights; from 8 on gates go beyond 16 bits, and so do the parts that they are sums of.
    """

    element_type: str = "int8"
    steps: int = 5
    batch: int = 1
    inputs: int = 6
    cells: int = 7
    outputs: int = 0
    coupled: bool = False
    peephole: bool = False
    normalised: bool = False
    time_major: bool = False
    power: int = -11
    cell_clip: float = 0.0
    projection_clip: float = 0.0
    activation: int = TANH
    hidden: tuple[float, int] | None = None
    gate_scale: float = 2.0**-11
    factor_scale: float = 3e-5
    weights: tuple[int, int] = (-127, 127)
    gain: float = 1.0


class _Model:
    def __init__(self, form: LstmForm, seed: int) -> None:
        self.form, self.rng, self.b = form, np.random.default_rng(seed), TfliteBuilder()

    @property
    def real(self) -> bool:
        return self.form.element_type == "float32"

    def quantized(self, scale: float, zero_point: int = 0) -> dict[str, Any]:
        return {} if self.real else {"scale": scale, "zero_point": zero_point}

    def matrix(self, rows: int, columns: int) -> int:
        if self.real:
            return self.b.constant(self.rng.normal(0, 0.4, (rows, columns)).astype(np.float32))
        scale, (low, high) = float(self.rng.uniform(0.003, 0.02)) * self.form.gain, self.form.weights
        return self.b.constant(self.rng.integers(low, high + 1, (rows, columns)).astype(np.int8), scale)

    def bias(self, rows: int) -> int:
        if self.real:
            return self.b.constant(self.rng.normal(0, 0.3, rows).astype(np.float32))
        values = self.rng.integers(-3000, 3000, rows)
        return self.b.constant(values.astype(np.int64 if self.form.element_type == "int16" else np.int32), 1e-4)

    def peephole(self, rows: int) -> int:
        if self.real:
            return self.b.constant(self.rng.normal(0, 0.3, rows).astype(np.float32))
        scale = float(self.rng.uniform(1e-5, 1e-4))
        return self.b.constant(self.rng.integers(-32767, 32768, rows).astype(np.int16), scale)

    def factors(self, rows: int) -> int:
        if self.real:
            return self.b.constant(self.rng.normal(1, 0.3, rows).astype(np.float32))
        return self.b.constant(self.rng.integers(-32767, 32768, rows).astype(np.int16), self.form.factor_scale)

    def zero_point(self) -> int:
        return int(self.rng.integers(-128, 128)) if self.form.element_type == "int8" else 0


def lstm_model(form: LstmForm, seed: int = 0) -> bytes:
    """A file whose input is the sequence, and whose output is that of the layer."""
    b, inputs, outputs = lstm_parts(form, seed)
    return b.build(inputs, outputs)


def lstm_parts(form: LstmForm, seed: int = 0) -> tuple[TfliteBuilder, list[int], list[int]]:
    """The same before it is written: (model, inputs, outputs)."""
    m, cells, inputs = _Model(form, seed), form.cells, form.inputs
    b, outputs = m.b, form.outputs or cells
    x_scale, state = float(m.rng.uniform(0.005, 0.05)), (float(m.rng.uniform(0.006, 0.012)), m.zero_point())
    if form.element_type == "int16":
        x_scale, state = x_scale / 256, (1 / 32768, 0)
    order = (form.steps, form.batch) if form.time_major else (form.batch, form.steps)
    x = b.tensor((*order, inputs), dtype=form.element_type, name="x", **m.quantized(x_scale, m.zero_point()))
    there = [not (form.coupled and gate == 0) for gate in range(4)]
    operands = [x]
    operands += [m.matrix(cells, inputs) if each else NO_TENSOR for each in there]
    operands += [m.matrix(cells, outputs) if each else NO_TENSOR for each in there]
    operands += [m.peephole(cells) if form.peephole and each else NO_TENSOR for each in there[:3]]
    operands += [m.bias(cells) if each else NO_TENSOR for each in there]
    operands += [m.matrix(outputs, cells), m.bias(outputs)] if form.outputs else [NO_TENSOR, NO_TENSOR]
    h = b.tensor((form.batch, outputs), dtype=form.element_type, name="h", **m.quantized(*state))
    c = b.tensor((form.batch, cells), dtype=STATES[form.element_type], name="c", **m.quantized(2.0**form.power))
    for index in (h, c):
        b.tensors[index].is_variable = True
    y = b.tensor((*order, outputs), dtype=form.element_type, name="y", **m.quantized(*state))
    op = b.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [*operands, h, c, *(m.factors(cells) if form.normalised and each else NO_TENSOR for each in there)],
        [y],
        FusedActivationFunction=form.activation,
        CellClip=form.cell_clip,
        ProjClip=form.projection_clip,
        TimeMajor=form.time_major,
    )
    if not m.real:
        # What says how wide a gate is in front of its normalisation.
        inner = [
            b.tensor((0,), form.gate_scale * (1 + gate / 7), dtype="int16")
            if form.normalised and form.gate_scale
            else b.tensor((0,), dtype="float32")
            for gate in range(4)
        ]
        scale, zero_point = form.hidden or state
        op.intermediates = [*inner, b.tensor((0,), scale, zero_point)]
    return b, [x], [y]


def sequence(form: LstmForm, inferences: int, seed: int = 0) -> list[np.ndarray]:
    """Inputs of so many inferences."""
    order = (form.steps, form.batch) if form.time_major else (form.batch, form.steps)
    shape, rng = (inferences, *order, form.inputs), np.random.default_rng(seed)
    if form.element_type == "float32":
        return list(rng.normal(0, 1, shape).astype(np.float32))
    info = np.iinfo(form.element_type)
    return list(rng.integers(info.min, info.max + 1, shape).astype(form.element_type))


def lstm_site(form: LstmForm, seed: int = 0, match: Runtime = "litert") -> Site:
    """The layer alone."""
    floats = "all" if form.element_type == "float32" else "islands"
    graph = import_tflite(lstm_model(form, seed), "m", "m.tflite", match=match, floats=floats)
    (node,) = graph.nodes
    return graph.site(node)
