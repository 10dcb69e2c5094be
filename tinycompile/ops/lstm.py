"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, INT64, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import integer_lstm, real, wide
from tinycompile.ops._arithmetic.integer_lstm import Factor, Mixing, Normalisation
from tinycompile.ops._recurrent import SIGMOID, TANH, Activation, Recurrent, wrong_shape
from tinycompile.ops._rules import bad_weights, first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings

GATES = ("input", "forget", "cell", "output")

NOT_OF_16_BITS = "its gates are normalised (layer normalisation), supported of float32 and int8 only"

Coupled = Literal["", "input", "forget"]
"""The gate that is 1 minus the other of these two, and has no weights."""


@dataclass(frozen=True)
class Lstm(Recurrent):
    """UNIDIRECTIONAL_SEQUENCE_LSTM: int8 with an int16 cell, int16 with int8 weights (TFLM's arithmetic), or float32;
    coupled gates, peepholes, projection; of int8 and floats layer normalisation of the gates.

    Operands: x (time, batch, inputs), the states h (batch, outputs) and c (batch, cells); of the gates input, forget,
    cell and output, one after the other, the weights of x (gates * cells, inputs), those of h (gates * cells, outputs)
    and the biases (gates * cells,); with `peephole` the weights of c for the input, forget and output gate
    (3 * cells,); with `projection` weights (outputs, cells) and a bias (outputs,); with `normalised` factors
    (gates * cells,). A coupled gate has none of these.
    Results: y, and h and c after the last step. Integer weights have one scale within a gate.

    Attributes:
        coupled: a gate that follows from another.
        peephole, projection: whether these operands are there.
        normalised: whether each gate, before its bias, is brought to mean 0 and variance 1 over its cells.
        activations: of the gates, in front of the cell, behind the cell.
        cell_clip, projection_clip: bounds of the cell and of a projection's result, both ways; 0 for none.
        gate_clip: bound of what gates' functions are given; 0 for none.
        gate_scales: of normalised gates of int8 in front of their normalisation, of each gate that has weights.
        hidden: scale and zero point of output gate * tanh(cell), of integers; None for those of h.
        runtime: whose integers.
    """

    kind: ClassVar[str] = "lstm"

    coupled: Coupled = ""
    peephole: bool = False
    projection: bool = False
    normalised: bool = False
    activations: tuple[Activation, Activation, Activation] = (SIGMOID, TANH, TANH)
    cell_clip: float = 0.0
    projection_clip: float = 0.0
    gate_clip: float = 0.0
    gate_scales: tuple[float, ...] = ()
    hidden: tuple[float, int] | None = None
    runtime: Runtime = "litert"

    @property
    def updates(self) -> Mapping[int, int]:
        return {1: 1, 2: 2}

    @property
    def gates(self) -> tuple[str, ...]:
        """Those with weights, in order."""
        return tuple(gate for gate in GATES if gate != self.coupled)

    @property
    def peepholes(self) -> tuple[str, ...]:
        """Those that look at the cell, in order."""
        return tuple(gate for gate in self.gates if gate != "cell") if self.peephole else ()

    @property
    def factors_at(self) -> int:
        """The operand that has the factors of normalised gates."""
        return 6 + int(self.peephole) + 2 * int(self.projection)

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, h, c = inputs[:3]
        _, batch, taps = self.sizes(x)
        if len(h.shape) != 2 or len(c.shape) != 2:
            raise ValueError(f"the states are {h} and {c}, a row for each sequence is wanted")
        outputs, cells = h.shape[1], c.shape[1]
        rows = len(self.gates) * cells
        wanted = [(batch, outputs), (batch, cells), (rows, taps), (rows, outputs), (rows,)]
        wanted += [(len(self.peepholes) * cells,)] if self.peephole else []
        wanted += [(outputs, cells), (outputs,)] if self.projection else []
        wanted += [(rows,)] if self.normalised else []
        wrong = wrong_shape(inputs[1:], wanted)
        if wrong is not None:
            raise ValueError(wrong)
        if not self.projection and outputs != cells:
            raise ValueError(f"{outputs} outputs of {cells} cells without a projection")
        return (self.result_shape(x, outputs), x.dtype), (h.shape, h.dtype), (c.shape, c.dtype)

    def macs(self, sig: Signature) -> int:
        time, batch, taps = self.sizes(sig.input)
        outputs, cells = sig.inputs[1].shape[1], sig.inputs[2].shape[1]
        projected = outputs * cells if self.projection else 0
        return time * batch * (len(self.gates) * cells * (taps + outputs) + projected)

    def meanings(self) -> Meanings:
        return {
            INT8: Meaning(self._integers, self._limits),
            INT16: Meaning(self._integers, self._wide_limits),
            FLOAT32: Meaning(self._real, self._real_limits),
        }

    def further(self, operands: Sequence[Array]) -> tuple[Array | None, Array | None, Array | None]:
        """(peephole weights, projection weights, projection bias) of the operands or their types."""
        rest: Iterator[Array] = iter(operands[6:])
        peephole = next(rest) if self.peephole else None
        if not self.projection:
            return peephole, None, None
        return peephole, next(rest), next(rest)

    def _split(self, rows: Array, gates: Sequence[str]) -> dict[str, Array]:
        """By gate what has their rows one after the other along the last axis."""
        return dict(zip(gates, np.split(rows, len(gates), axis=-1), strict=True))

    # float32

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, h, c, w, r, bias = (value.astype(np.float64) for value in inputs[:6])
        peephole, projection, projection_bias = self.further(inputs)
        sums = self.in_time(x) @ w.T + (0 if self.normalised else bias)
        factors = self._split(inputs[self.factors_at].astype(np.float64), self.gates) if self.normalised else {}
        biases = self._split(bias, self.gates)
        sigmoid, before, behind = self.activations
        looks = {} if peephole is None else self._split(peephole.astype(np.float64), self.peepholes)

        def gate(name: str, parts: dict[str, Array], cell: Array, function: Activation) -> Array:
            value = parts[name] + (looks[name] * cell if name in looks else 0)
            value = normalised(value) * factors[name] + biases[name] if self.normalised else value
            value = np.clip(value, -self.gate_clip, self.gate_clip) if self.gate_clip > 0 else value
            return function.of(value)

        def step(at: Array, states: Sequence[Array]) -> Sequence[Array]:
            hidden, cell = states
            parts = self._split(at + hidden @ r.T, self.gates)
            into = gate("input", parts, cell, sigmoid) if self.coupled != "input" else None
            kept = gate("forget", parts, cell, sigmoid) if self.coupled != "forget" else 1 - _there(into)
            into = 1 - kept if into is None else into
            cell = kept * cell + into * gate("cell", parts, cell, before)
            cell = np.clip(cell, -self.cell_clip, self.cell_clip) if self.cell_clip > 0 else cell
            result = gate("output", parts, cell, sigmoid) * behind.of(cell)
            if projection is not None:
                result = result @ projection.T.astype(np.float64) + _there(projection_bias)
                bound = self.projection_clip
                result = np.clip(result, -bound, bound) if bound > 0 else result
            return result, cell

        with np.errstate(all="ignore"):
            y, h, c = self.run(sums, [h, c], step)
            return tuple(part.astype(np.float32) for part in (self.as_operand(y, sig.input), h, c))

    def _real_limits(self, sig: Signature) -> str | None:
        return real.other_types(sig) or ("a quantisation of floats" if self.hidden or self.gate_scales else None)

    # integers

    def factors(self, sig: Signature) -> tuple[Factor, Factor]:
        """From the sums over x and over h to steps of a gate, per row. Raises ValueError where there is none."""
        scale = self.gate_steps(sig, self.gates)
        x, h, w, r = sig.input, sig.inputs[1], sig.inputs[3], sig.inputs[4]
        return (
            integer_lstm.product_factor(x, w, scale, self.runtime),
            integer_lstm.product_factor(h, r, scale, self.runtime),
        )

    def gate_steps(self, sig: Signature, gates: Sequence[str]) -> Array:
        """The scales of some gates as sums, float64, per row."""
        known = dict(zip(self.gates, self.gate_scales, strict=True)) if self.normalised else {}
        scales = [known.get(gate, integer_lstm.GATE_SCALE) for gate in gates]
        return np.repeat(np.array(scales, np.float64), sig.inputs[2].shape[1])

    def normalisations(self, sig: Signature) -> tuple[Normalisation, ...]:
        """Of each gate that has weights. Raises ValueError where its factors have no scale, or several."""
        quant = sig.inputs[self.factors_at].quant
        if quant is None:
            raise ValueError("the factors of layer normalisation have no quantisation parameters")
        scales = np.broadcast_to(quant.scale, sig.inputs[self.factors_at].shape).reshape(len(self.gates), -1)
        if np.any(scales != scales[:, :1]):
            raise ValueError("the factors of a gate have several scales, supported is one")
        return tuple(Normalisation.of(float(scale)) for scale in scales[:, 0])

    def peephole_factor(self, sig: Signature) -> Factor:
        """From weight * cell to steps of a gate, per row. Raises ValueError where there is no such factor."""
        quant = sig.inputs[6].quant
        if quant is None:
            raise ValueError("the peephole weights have no quantisation parameters")
        scales = np.broadcast_to(quant.scale.astype(np.float64), sig.inputs[6].shape)
        products = 2.0 ** integer_lstm.cell_power(sig.inputs[2]) * scales
        return Factor.of((products / self.gate_steps(sig, self.peepholes)).astype(np.float32))

    def projection_factor(self, sig: Signature) -> Factor:
        """From sums over output gate * tanh(cell) to steps of h. Raises ValueError where there is no such factor."""
        weights, one = sig.inputs[7 if self.peephole else 6], np.float32
        if weights.quant is None:
            raise ValueError("the projection's weights have no quantisation parameters")
        hidden = self.hidden_quantization(sig)[0]
        scale = weights.quant.scale.astype(one) * one(hidden) / one(sig.inputs[1].scale)
        return Factor.of(np.broadcast_to(scale, weights.shape[:1]))

    def hidden_quantization(self, sig: Signature) -> tuple[float, int]:
        """Scale and zero point of output gate * tanh(cell)."""
        return self.hidden or (sig.inputs[1].scale, sig.inputs[1].zero_point)

    def mixing(self, sig: Signature) -> Mixing:
        """How gates and cell become the next cell, and the output. Raises ValueError where scales have no factor."""
        high = sig.inputs[1].dtype.range[1]
        scale, zero_point = self.hidden_quantization(sig)
        # The reference takes the zero point of what is projected with the wrong sign.
        output = (scale, -zero_point if self.projection else zero_point)
        return Mixing.of(sig.inputs[2], self.cell_clip, output, high, self.runtime)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, h, c, w, r, bias = inputs[:6]
        peephole, projection, projection_bias = self.further(inputs)
        x_type, h_type = sig.inputs[:2]
        of_x, of_h = self.factors(sig)
        norms = self._norms(sig, inputs[self.factors_at], bias) if self.normalised else {}
        added = None if self.normalised else bias
        mixing, in_words = self.mixing(sig), self.runtime == "litert" and h_type.dtype == INT8
        sums = integer_lstm.rescaled(integer_lstm.products(self.in_time(x), x_type, w, added), of_x, x_type)
        project = None
        if projection is not None:
            bias = _there(projection_bias).astype(np.int64)
            bias = bias + self.hidden_quantization(sig)[1] * projection.astype(np.int64).sum(axis=1)
            bound = integer_lstm.clip_steps(self.projection_clip, sig.output.scale, 8)
            project = partial(self._projected, sig, projection, bias, self.projection_factor(sig), bound)
        looks = None if peephole is None else (peephole.astype(np.int64), self.peephole_factor(sig))

        def step(at: Array, states: Sequence[Array]) -> Sequence[Array]:
            hidden, cell = states[0], states[1].astype(np.int64)
            recurrent = integer_lstm.products(hidden, h_type, r, None)
            # LiteRT adds to the gate in 32 bits; TFLM adds the results of two fully connected layers.
            added = of_h.apply(recurrent) if in_words else integer_lstm.rescaled(recurrent, of_h, h_type)
            sums = integer_lstm.saturated(at + added)
            parts = self._split(sums, self.gates)

            def gate(name: str, cell: Array) -> Array:
                value = parts[name] if looks is None else self._looking(parts[name], name, cell, *looks)
                value = norms[name](value) if self.normalised else value
                return integer_lstm.gate_function(value, name == "cell", self.runtime)

            kept = gate("forget", cell)
            into = 32767 - kept if self.coupled == "input" else gate("input", cell)
            cell = mixing.cell(into, kept, gate("cell", cell), cell)
            found = mixing.hidden(gate("output", cell), cell)
            found = found if project is None else project(found)
            return found.astype(h.dtype), cell.astype(np.int16)

        y, h, c = self.run(sums, [h, c], step)
        return self.as_operand(y, sig.input), h, c

    def _norms(self, sig: Signature, factors: Array, bias: Array) -> dict[str, Callable[[Array], Array]]:
        """By gate what brings it to its mean and variance, and to 12 fractional bits."""
        of_gates, biases = self._split(factors, self.gates), self._split(bias, self.gates)
        return {
            gate: partial(norm.apply, factors=of_gates[gate], bias=biases[gate])
            for gate, norm in zip(self.gates, self.normalisations(sig), strict=True)
        }

    def _looking(self, sums: Array, gate: str, cell: Array, weights: Array, factor: Factor) -> Array:
        """With what a gate sees of the cell."""
        if gate not in self.peepholes:
            return sums
        rows = slice(self.peepholes.index(gate) * cell.shape[1], (self.peepholes.index(gate) + 1) * cell.shape[1])
        return integer_lstm.saturated(sums + factor.take(rows).apply(weights[rows] * cell))

    @staticmethod
    def _projected(sig: Signature, weights: Array, bias: Array, factor: Factor, bound: int, hidden: Array) -> Array:
        sums = (hidden.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64) + bias
        found = np.clip(factor.apply(sums) + sig.inputs[1].zero_point, -128, 127)
        return integer_lstm.clipped(found, bound)

    def _limits(self, sig: Signature) -> str | None:
        h, c = sig.inputs[1:3]
        at = 7 if self.peephole else 6
        biases = [sig.inputs[5]] + ([sig.inputs[at + 1]] if self.projection else [])
        matrices = [sig.inputs[3], sig.inputs[4]] + ([sig.inputs[at]] if self.projection else [])
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(h, "the state"),
                wide.asymmetric(c, "the cell"),
                *(bad_weights(matrix, 0) for matrix in matrices),
                *(wrong_dtype(bias, "the bias", INT32) for bias in biases),
                wrong_dtype(sig.inputs[6], "a peephole", INT16) if self.peephole else None,
                wrong_dtype(sig.inputs[self.factors_at], "a factor of layer normalisation", INT16)
                if self.normalised
                else None,
                self._integer_form(sig),
            )
        )

    def _wide_limits(self, sig: Signature) -> str | None:
        special = "peepholes, coupled gates and a projection of 16-bit activations: no runtime has them"
        return first_reason(
            (
                NOT_OF_16_BITS if self.normalised else None,
                wide.asymmetric(sig.input, "the input"),
                wide.asymmetric(sig.inputs[1], "the state"),
                wide.asymmetric(sig.inputs[2], "the cell"),
                special if self.peephole or self.projection or self.coupled else None,
                "only TFLM has 16-bit activations" if self.runtime != "tflm" else None,
                *(bad_weights(matrix, 0) for matrix in sig.inputs[3:5]),
                wrong_dtype(sig.inputs[5], "the bias", INT64),
                self._integer_form(sig),
            )
        )

    def _integer_form(self, sig: Signature) -> str | None:
        h, c, (y, h_next, c_next) = sig.inputs[1], sig.inputs[2], sig.outputs
        if self.peephole and h.shape[1] != c.shape[1]:
            return f"peepholes of {c.shape[1]} cells with {h.shape[1]} outputs, of which LiteRT looks at others"
        same = all(t.quant is not None and t.quant.same_as(h.quant) for t in (y, h_next))
        if not same or c_next.quant is None or not c_next.quant.same_as(c.quant):
            return "the output has another quantisation than the state"
        if not all(self._has_one_scale_for_each_gate(t) for t in (sig.inputs[3], sig.inputs[4])):
            return "the rows of a gate have several scales, supported is one"
        if self.activations != (SIGMOID, TANH, TANH) or self.gate_clip or self.coupled == "forget":
            return "of integers the gates are sigmoids, and the cell is in front of and behind a hyperbolic tangent"
        if self.runtime == "tflm" and (self.peephole or self.projection or self.coupled or self.normalised):
            return "peepholes, coupled gates, a projection and layer normalisation, which TFLM refuses"
        if len(self.gate_scales) != (len(self.gates) if self.normalised else 0):
            return "the scales of normalised gates aren't known, or gates that aren't normalised have some"
        return invalid(lambda: self._derive(sig))

    def _has_one_scale_for_each_gate(self, weights: TensorType) -> bool:
        if weights.quant is None:
            return False
        scales = np.broadcast_to(weights.quant.scale, weights.shape[:1]).reshape(len(self.gates), -1)
        return bool(np.all(scales == scales[:, :1]))

    def _derive(self, sig: Signature) -> None:
        self.factors(sig)
        self.mixing(sig)
        if self.normalised:
            self.normalisations(sig)
        if self.peephole:
            self.peephole_factor(sig)
        if self.projection:
            self.projection_factor(sig)


NORMAL = 1e-8
"""What a variance is above 0 by."""


def normalised(values: Array) -> Array:
    """Mean 0 and variance 1 along the last axis."""
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + NORMAL)


def _there(value: Array | None) -> Array:
    if value is None:
        raise ValueError("an operand is missing")
    return value
