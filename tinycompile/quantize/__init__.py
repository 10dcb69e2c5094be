"""Float ONNX models to QDQ models: calibrate, try, measure, keep the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.frontend.onnx import is_quantized
from tinycompile.frontend.onnx_file import read_proto, static_model
from tinycompile.progress import step
from tinycompile.quantize.bias_correction import bias_corrected
from tinycompile.quantize.calibration import Sample, load_samples, spread
from tinycompile.quantize.equalize import equalized
from tinycompile.quantize.float_graph import FloatGraph, prepared
from tinycompile.quantize.measure import (
    Accuracy,
    Candidate,
    accuracy,
    agreement,
    float_outputs,
    layer_sqnr,
    output_sqnr,
)
from tinycompile.quantize.qdq import quantized_values, to_qdq
from tinycompile.quantize.ranges import METHODS, observe, range_of
from tinycompile.quantize.rounding import rounded_weights

METHOD_CHOICES = ("auto", *METHODS)
_MEASURED = 48
"""Samples on which candidates are compared."""
_LIMIT = 512
"""Samples that are looked at for ranges."""


@dataclass(frozen=True)
class Trial:
    """One way to quantise, and the SQNR of the worst output on the calibration set in dB."""

    method: str
    equalized: bool
    bias_corrected: bool
    rounded: bool
    sqnr: float

    def describe(self) -> str:
        parts = [self.method]
        parts += ["equalised"] if self.equalized else []
        parts += ["bias corrected"] if self.bias_corrected else []
        parts += ["weights rounded together"] if self.rounded else []
        return f"{', '.join(parts)}: {self.sqnr:.2f} dB"


@dataclass(frozen=True, eq=False)
class Quantized:
    """The best QDQ model, and what was measured.

    Attributes:
        proto: the model.
        trials: all that were tried, the best first.
        layers: (tensor, SQNR in dB) of the best one, the worst first.
        accuracy: on labelled samples, if there were any.
        agreement: how often both models choose the same class on the evaluation or calibration samples.
    """

    proto: Any
    trials: tuple[Trial, ...]
    layers: tuple[tuple[str, float], ...]
    accuracy: Accuracy | None
    agreement: float

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "summary": self.lines(),
            "trials": [{"how": trial.describe(), "sqnr_db": trial.sqnr} for trial in self.trials],
            "layers_sqnr_db": [{"tensor": name, "sqnr_db": ratio} for name, ratio in self.layers],
            "agreement": self.agreement,
            "accuracy": None if self.accuracy is None else asdict(self.accuracy),
        }

    def lines(self) -> list[str]:
        """What a person wants to know, for the terminal."""
        lines = [f"quantised: {self.trials[0].describe()} on the calibration set"]
        worst = ", ".join(f"{name} {ratio:.1f} dB" for name, ratio in self.layers[:5])
        lines.append(f"worst layers: {worst}")
        lines.append(f"same class as the float model: {self.agreement:.1%}")
        if self.accuracy is not None:
            a = self.accuracy
            lines.append(f"{a.metric}: float {a.float_value:.2%}, int8 {a.int8_value:.2%}")
        return lines


def quantize(
    model: Path,
    calib: Path,
    *,
    method: str = "auto",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    evaluation: Path | None = None,
) -> Quantized:
    """Quantise a float model: int8 activations per tensor, int8 weights per output channel.

    Args:
        calib: `.npz` with real inputs.
        method: how ranges are found: one of `METHODS`, or "auto" for what measures best.
        evaluation: `.npz` with labelled samples (`x`, `y`).

    Raises:
        UsageError, SamplesError, ModelFileError, UnsupportedError.
    """
    if method not in METHOD_CHOICES:
        raise UsageError(f"--calib-method {method!r} is unknown", hint=f"one of: {', '.join(METHOD_CHOICES)}")
    where = str(model)
    proto = read_proto(model)
    if is_quantized(proto):
        raise UsageError("the model is quantised already", where=where, hint="build it without --calib")
    static = static_model(proto, where, shapes)
    samples, _ = load_samples(calib, static)
    samples = spread(samples, _LIMIT)
    step(f"calibrating with {len(samples)} samples: the float model")
    graph = prepared(proto, static.shapes)
    reference = float_outputs(proto, spread(samples, _MEASURED))
    bound = {value.name: value.shape for value in static.inputs}
    attempts = list[_Attempt]()
    few = spread(samples, _MEASURED)
    measure = _Measure(few, reference, where, bound)
    for even in (False, True):
        base = _evened(graph, samples) if even else graph
        together = rounded_weights(base, few)
        for corrected, rounded in ((False, {}), (True, {}), (True, together)):
            current = bias_corrected(base, few, rounded) if corrected else base
            how = (even, corrected, bool(rounded))
            step(f"calibrating: way {len(attempts) // (len(METHODS) if method == 'auto' else 1) + 1} of 6 to quantise")
            attempts += _attempts(base, current, rounded, samples, measure, method, how)
    attempts.sort(key=lambda attempt: -attempt.trial.sqnr)
    best = attempts[0].candidate
    judged, labels = (samples, None) if evaluation is None else load_samples(evaluation, static, labelled=True)
    floats, ours = float_outputs(proto, judged)[0], best.outputs(judged)[0]
    measured = None
    if labels is not None:
        measured = accuracy(floats, ours, np.stack([sample[static.inputs[0].name] for sample in judged]), labels)
    return Quantized(
        best.proto,
        tuple(attempt.trial for attempt in attempts),
        tuple(layer_sqnr(best, attempts[0].base.model(), spread(samples, _MEASURED))),
        measured,
        agreement(floats, ours),
    )


def _evened(graph: FloatGraph, samples: Sequence[Sample]) -> FloatGraph:
    observed = observe(graph.model(), quantized_values(graph), samples)
    return equalized(graph, {name: found.channel_peak for name, found in observed.items()})


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A trial with what it consists of."""

    trial: Trial
    base: FloatGraph
    candidate: Candidate


@dataclass(frozen=True, eq=False)
class _Measure:
    """Compares candidates with the float model on some samples."""

    samples: Sequence[Sample]
    reference: Sequence[Any]
    where: str
    shapes: Mapping[str, tuple[int, ...]]

    def of(
        self, graph: FloatGraph, ranges: Mapping[str, tuple[float, float]], rounded: Mapping[str, Any]
    ) -> tuple[Candidate, float]:
        candidate = Candidate.of(to_qdq(graph, ranges, rounded), self.where, self.shapes)
        return candidate, output_sqnr(candidate, self.reference, self.samples)


def _attempts(
    base: FloatGraph,
    graph: FloatGraph,
    rounded: Mapping[str, Any],
    samples: Sequence[Sample],
    measure: _Measure,
    method: str,
    how: tuple[bool, bool, bool],
) -> list[_Attempt]:
    observed = observe(graph.model(), quantized_values(graph), samples)
    found = list[_Attempt]()
    for each in METHODS if method == "auto" else (method,):
        ranges = {name: range_of(value, each) for name, value in observed.items()}
        candidate, ratio = measure.of(graph, ranges, rounded)
        found.append(_Attempt(Trial(each, *how, ratio), base, candidate))
    return found


__all__ = ["METHOD_CHOICES", "Quantized", "Trial", "quantize"]
