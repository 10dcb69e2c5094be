"""Which tensors' ranges are too narrow for real samples, and what that costs.

Each operator is computed once more on floats, from the real numbers that its integer operands stand for. Where the
result lies beyond what the integers of its tensor reach, the tensor clips. Activations that limit a result are inside
of the operator, so that what they cut off isn't counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.verify.float_twin import FloatTwin, Steps
from tinycompile.verify.runtimes import RefusedError
from tinycompile.verify.tflite import TfliteReference

MOST_SAMPLES = 32
"""More tell little more, and each takes another run on floats."""

LEAST_LOSS = 0.5
"""dB that a tensor has to lose to be named."""


@dataclass
class TensorRange:
    """What was seen of a tensor, over all samples.

    Attributes:
        label: of its layer, as in the generated C; of a tensor that the firmware doesn't have, the end of its name.
        operator: that computes it; "input" for an input of the model.
        low, high: the real numbers at the ends of its integers.
        least, largest: of what would be there without a limit.
        at_low, at_high: values that are the lowest and the highest integer.
        clipped: values beyond the ends by more than a step.
        noise: sum of squares of what the tensor is off the floats; `clipped_noise`: the clipped values' part of it.
    """

    name: str
    label: str
    operator: str
    low: float
    high: float
    step: float
    values: int = 0
    at_low: int = 0
    at_high: int = 0
    clipped: int = 0
    least: float = inf
    largest: float = -inf
    noise: float = 0.0
    clipped_noise: float = 0.0

    @staticmethod
    def of(name: str, label: str | None, operator: str, steps: Steps) -> TensorRange:
        label = label or name.split(";")[0].split("/")[-1]
        scale, zero = float(steps.scale[0]), int(steps.zero_point[0])
        return TensorRange(name, label, operator, scale * (steps.low - zero), scale * (steps.high - zero), scale)

    def add(self, steps: Steps, integers: Array, real: Array) -> None:
        """One sample: the tensor's integers and the floats that they stand for."""
        real = real.astype(np.float64)
        off = np.square(real - steps.real(integers))
        beyond = (real > self.high + self.step) | (real < self.low - self.step)
        self.values += real.size
        self.at_low += int(np.count_nonzero(integers == steps.low))
        self.at_high += int(np.count_nonzero(integers == steps.high))
        self.clipped += int(np.count_nonzero(beyond))
        self.least, self.largest = min(self.least, real.min(initial=inf)), max(self.largest, real.max(initial=-inf))
        self.noise += float(off.sum())
        self.clipped_noise += float(off[beyond].sum())

    @property
    def lost(self) -> float:
        """dB: how much less noise there would be if the clipped values were rounded only."""
        rounded = self.noise - self.clipped_noise + self.clipped * self.step**2 / 12
        return 10 * log10(self.noise / rounded) if self.clipped and rounded > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "label": self.label,
            "operator": self.operator,
            "values": self.values,
            "at_low": self.at_low,
            "at_high": self.at_high,
            "clipped": self.clipped,
            "range": [self.low, self.high],
            "real": [self.least, self.largest],
            "lost_db": round(self.lost, 2),
        }


@dataclass(frozen=True, eq=False)
class Clipping:
    """What samples say of a model's ranges.

    Attributes:
        tensors: all that are quantised, in the order of execution.
        outputs: (name, dB of the same model on floats over what the quantised one is off it).
    """

    samples: int
    tensors: tuple[TensorRange, ...]
    outputs: tuple[tuple[str, float], ...]

    @property
    def worst(self) -> list[TensorRange]:
        """Tensors that clip, those that lose most first."""
        return sorted((t for t in self.tensors if t.lost >= LEAST_LOSS), key=lambda t: -t.lost)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "samples": self.samples,
            "tensors": [t.as_dict() for t in self.tensors],
            "outputs": [{"name": name, "db": None if db == inf else round(db, 2)} for name, db in self.outputs],
        }


def clipping_of(reference: TfliteReference, inputs: Sequence[Array], reals: Sequence[Array]) -> Clipping | None:
    """Compare a quantised model with the same one on floats.

    Args:
        inputs: per input (samples, *shape), as the firmware takes it. reals: the same as real numbers.

    Returns:
        None where no activation is quantised, no runtime computes an operator, or there are states, which would
        differ more with every step.
    """
    if reference.has_states:
        return None
    twin = FloatTwin(reference.content, reference.subgraph)
    found, count = dict[int, TensorRange](), min(len(inputs[0]), MOST_SAMPLES)
    signal, noise = np.zeros(len(twin.outputs)), np.zeros(len(twin.outputs))
    try:
        for sample in range(count):
            reference.judge([array[sample] for array in inputs], ())
            given = {
                detail["index"]: reference.in_file(real[sample], detail)
                for detail, real in zip(twin.inputs, reals, strict=True)
            }
            floats = _one(twin, reference, given, found)
            if not found:
                return None
            for place, detail in enumerate(twin.outputs):
                ours = _real(twin, reference, detail["index"])
                wanted = floats.get(detail["index"], ours).astype(np.float64)
                signal[place] += float(np.square(wanted).sum())
                noise[place] += float(np.square(wanted - ours.reshape(wanted.shape)).sum())
    except RefusedError:
        return None
    names = [twin.names[detail["index"]] for detail in twin.outputs]
    ratios = [10 * log10(s / n) if s and n else inf for s, n in zip(signal, noise, strict=True)]
    return Clipping(count, tuple(found.values()), tuple(zip(names, ratios, strict=True)))


def _one(
    twin: FloatTwin, reference: TfliteReference, given: Mapping[int, Array], found: dict[int, TensorRange]
) -> dict[int, Array]:
    """Look at one sample that the reference has run; the floats of the whole model."""
    floats = dict(given)
    for index, real in given.items():
        _look(twin, reference, index, "input", real, found)
    for step in twin.steps:
        local = twin.apply(step, {index: _real(twin, reference, index) for index in step.fed})
        whole = twin.apply(step, floats)
        for place, index in enumerate(step.results):
            if local is not None:
                _look(twin, reference, index, step.name, local[place], found)
            floats[index] = _real(twin, reference, index) if whole is None else whole[place]
    return floats


def _look(
    twin: FloatTwin, reference: TfliteReference, index: int, operator: str, real: Array, found: dict[int, TensorRange]
) -> None:
    steps = twin.steps_of.get(index)
    if steps is None or steps.scale.size != 1:
        return
    seen = found.setdefault(index, TensorRange.of(twin.names[index], reference.labels.get(index), operator, steps))
    integers = np.asarray(reference.tensor(index))
    seen.add(steps, integers, np.asarray(real).reshape(integers.shape))


def _real(twin: FloatTwin, reference: TfliteReference, index: int) -> Array:
    """A tensor of the quantised model in real numbers."""
    values, steps = np.asarray(reference.tensor(index)), twin.steps_of.get(index)
    return values if steps is None else steps.real(values)
