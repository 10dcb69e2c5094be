"""Samples to calibrate and to measure with, and how well a network with few bits follows the one that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinycompile.ir import Array, Graph
from tinycompile.mixed_precision.fitting import spread
from tinycompile.mixed_precision.network import Network, Parameters
from tinycompile.mixed_precision.sensitivity import noise
from tinycompile.quantize.network import decibels
from tinycompile.samples import load_arrays, real_inputs, with_labels

_CALIBRATING = 256
_EACH = 4
"""Every fourth sample is kept apart to measure with, unless there are others for that."""


@dataclass(frozen=True)
class Measured:
    """On samples that the fit hasn't seen.

    Attributes:
        sqnr: of the worst output, dB; of the scores in front of a last softmax or sigmoid.
        agreement: how often the first output's largest value is where the reference has it; None where it chooses
            nothing.
        accuracy: (the reference's, this one's) with labels.
    """

    sqnr: float
    agreement: float | None
    accuracy: tuple[float, float] | None

    @property
    def loss(self) -> float | None:
        """What `--accuracy-loss` limits: accuracy lost, without labels how often it disagrees."""
        if self.accuracy is not None:
            return self.accuracy[0] - self.accuracy[1]
        return None if self.agreement is None else 1 - self.agreement

    @property
    def order(self) -> tuple[float, float]:
        """The larger, the better: accuracy where there are labels. How often the choice is the same is no measure of
        small differences: it counts the few samples between two classes."""
        return (0.0 if self.accuracy is None else self.accuracy[1]), self.sqnr

    def describe(self) -> str:
        parts = [f"SQNR {self.sqnr:.1f} dB"]
        if self.agreement is not None:
            parts.append(f"{self.agreement:.1%} the same choice")
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy[1]:.2%} of {self.accuracy[0]:.2%}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs as real numbers, by name.

    Attributes:
        reference: (samples, elements) of each output, of what is to be followed: the int8 network as it is, or the
            float one that it was made of.
        labels: (samples,) of classes.
        measured_on: which samples these are, in words.
    """

    calibration: Mapping[str, Array]
    judged: Mapping[str, Array]
    labels: Array | None
    measured_on: str
    reference: Sequence[Array] | None = None

    @property
    def calibrating(self) -> int:
        return len(next(iter(self.calibration.values())))

    @staticmethod
    def of(network: Network, calib: Path, evaluation: Path | None) -> Samples:
        """Raises SamplesError."""
        given, _ = _loaded(network.graph, calib)
        if evaluation is not None:
            judged, labels = _loaded(network.graph, evaluation)
            text = f"the {_count(judged)} samples of {evaluation.name}"
        else:
            total = np.arange(_count(given))
            kept = total % _EACH == _EACH - 1 if len(total) >= 2 * _EACH else np.zeros(len(total), bool)
            judged, labels = {n: v[kept] if kept.any() else v for n, v in given.items()}, None
            given = {n: v[~kept] for n, v in given.items()}
            apart = "that calibration doesn't see" if kept.any() else "that it was calibrated with"
            text = f"{_count(judged)} samples {apart}"
        limited = {n: v[spread(len(v), _CALIBRATING)] for n, v in given.items()}
        return Samples(network.inputs(limited), network.inputs(judged), labels, text)

    def measured(self, network: Network, replaced: Mapping[str, Parameters]) -> Measured:
        reference = self.reference or network.outputs(self.judged, {}, rounded=True)
        outputs = network.outputs(self.judged, replaced, rounded=True)
        first, ours = reference[0], outputs[0]
        chooses = first.shape[1] > 1 and first.size != next(iter(self.judged.values())).size
        classes, chosen = first.argmax(axis=1), ours.argmax(axis=1)
        accuracy = None
        if self.labels is not None and self.labels.size == len(first):
            labels = self.labels.ravel()
            accuracy = float((classes == labels).mean()), float((chosen == labels).mean())
        return Measured(
            decibels(noise(reference, outputs)), float((classes == chosen).mean()) if chooses else None, accuracy
        )


def _count(arrays: Mapping[str, Array]) -> int:
    return len(next(iter(arrays.values())))


def _loaded(graph: Graph, path: Path) -> tuple[dict[str, Array], Array | None]:
    arrays, label = with_labels(load_arrays(path), graph.inputs)
    types = [graph.types[name] for name in graph.inputs]
    inputs, real = real_inputs(arrays, types, where=str(path), names=list(graph.inputs))
    return dict(zip(graph.inputs, real or inputs, strict=True)), None if label is None else arrays[label]
