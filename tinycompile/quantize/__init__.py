"""Float models to QDQ models: calibrate, try, measure, keep the best."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.errors import QuantizationWarning, UsageError
from tinycompile.frontend.onnx_file import static_model
from tinycompile.progress import step
from tinycompile.quantize.alignment import aligned
from tinycompile.quantize.bias_correction import bias_corrected
from tinycompile.quantize.calibration import Sample, load_samples, spread
from tinycompile.quantize.equalize import equalized
from tinycompile.quantize.float_graph import FloatGraph, prepared
from tinycompile.quantize.float_model import float_model
from tinycompile.quantize.headroom import roomy
from tinycompile.quantize.measure import (
    Accuracy,
    Candidate,
    accuracy,
    agreement,
    float_outputs,
    layer_sqnr,
    output_sqnr,
)
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.pinned import PINNED, check_pinned
from tinycompile.quantize.qdq import Parameters, parameters_of, quantized_values, to_qdq
from tinycompile.quantize.ranges import METHODS, Observed, clipped_part, is_crowded, observe, range_of
from tinycompile.quantize.rounding import rounded_weights
from tinycompile.quantize.scales import RaisedChannel

METHOD_CHOICES = ("auto", *METHODS)
_MEASURED = 48
"""Samples on which candidates are compared."""
_LIMIT = 512
"""Samples that are looked at for ranges."""
_COSTLY = 1 / 512
"""Part of a channel's largest output, half a step of 8 bits, from which on what raising a scale costs is a warning."""
_LONGEST_NAME = 40
"""In a line with others."""
_CLIPPED = 0.001
"""Part of a tensor's values beyond a pinned range from which on they are a warning."""


@dataclass(frozen=True)
class Trial:
    """One way to quantise, and the SQNR of the worst output on the calibration set in dB."""

    method: str
    equalized: bool
    bias_corrected: bool
    rounded: bool
    sqnr: float
    room: bool = False

    def describe(self) -> str:
        parts = [self.method]
        parts += ["equalised"] if self.equalized else []
        parts += ["bias corrected"] if self.bias_corrected else []
        parts += ["weights rounded together"] if self.rounded else []
        parts += ["with room in the ranges"] if self.room else []
        return f"{', '.join(parts)}: {self.sqnr:.2f} dB"


@dataclass(frozen=True, eq=False)
class Quantized:
    """The best QDQ model, and what was measured.

    Attributes:
        proto: the model.
        trials: all that were tried, the best first.
        layers: (tensor, SQNR in dB) of the best one, the worst first.
        raised: channels whose weights have a larger scale than their own, so that the accumulator fits.
        accuracy: on labelled samples, if there were any.
        agreement: how often both models choose the same class on the evaluation or calibration samples.
    """

    proto: Any
    trials: tuple[Trial, ...]
    layers: tuple[tuple[str, float], ...]
    raised: tuple[RaisedChannel, ...]
    accuracy: Accuracy | None
    agreement: float

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "summary": self.lines(),
            "trials": [{"how": trial.describe(), "sqnr_db": trial.sqnr} for trial in self.trials],
            "layers_sqnr_db": [{"tensor": name, "sqnr_db": ratio} for name, ratio in self.layers],
            "raised_channels": [asdict(each) | {"text": each.describe()} for each in self.raised],
            "agreement": self.agreement,
            "accuracy": None if self.accuracy is None else asdict(self.accuracy),
        }

    def lines(self) -> list[str]:
        """What a person wants to know, for the terminal."""
        lines = [f"quantised: {self.trials[0].describe()} on the calibration set"]
        worst = ", ".join(f"{shortened(name)} {ratio:.1f} dB" for name, ratio in self.layers[:5])
        lines.append(f"worst layers: {worst}")
        if self.raised:
            many = len(self.raised)
            lines.append(f"weight scales raised for the accumulator to fit: {many} channel{'s' if many > 1 else ''}")
        lines.append(f"same class as the float model: {self.agreement:.1%}")
        if self.accuracy is not None:
            a = self.accuracy
            lines.append(f"{a.metric}: float {a.float_value:.2%}, int8 {a.int8_value:.2%}")
        return lines


def shortened(name: str) -> str:
    """The end of a tensor's path, which tells it from others: PyTorch's have 100 characters in TFLite files."""
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"


def quantize(
    model: Path,
    calib: Path,
    *,
    method: str = "auto",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    evaluation: Path | None = None,
    pinned: Parameters | None = None,
    room: bool = False,
    signature: str | None = None,
    layout: str = "model",
) -> Quantized:
    """Quantise a float model, ONNX or TFLite: int8 activations per tensor, int8 weights per output channel.

    Args:
        calib: `.npz` with real inputs.
        method: how ranges are found: one of `METHODS`, or "auto" for what measures best.
        evaluation: `.npz` with labelled samples (`x`, `y`).
        pinned: scale and zero point of every quantised tensor, of a model whose code is to be kept; then `method` means
            nothing.
        room: ranges have room for other weights, see `headroom.py`.
        signature: whose subgraph of a `.tflite` file is meant; None for the main one.
        layout: in which the model will be compiled; samples have the file's.

    Raises:
        UsageError, SamplesError, ModelFileError, UnsupportedError.
    """
    if method not in METHOD_CHOICES:
        raise UsageError(f"--calib-method {method!r} is unknown", hint=f"one of: {', '.join(METHOD_CHOICES)}")
    where = str(model)
    proto = float_model(model, shapes or {}, signature, layout)
    static = static_model(proto, where, shapes)
    samples, _ = load_samples(calib, static)
    samples = spread(samples, _LIMIT)
    step(f"calibrating with {len(samples)} samples: the float model")
    graph = simplified(prepared(proto, static.shapes, where))
    if pinned is not None:
        check_pinned(pinned, quantized_values(graph), where)
    methods = METHODS if method == "auto" else (method,)
    search = _Search.of(proto, samples, where, {v.name: v.shape for v in static.inputs}, methods, pinned)
    attempts = search.attempts(graph)
    if room and pinned is None:
        attempts.insert(0, search.with_room(attempts[0]))
    best = attempts[0]
    for text in best.warnings():
        warnings.warn(f"{where}: {text}", QuantizationWarning, stacklevel=2)
    judged, labels = (samples, None) if evaluation is None else load_samples(evaluation, static, labelled=True)
    floats, ours = float_outputs(proto, judged)[0], best.candidate.outputs(judged)[0]
    measured = None
    if labels is not None:
        measured = accuracy(floats, ours, np.stack([sample[static.inputs[0].name] for sample in judged]), labels)
    return Quantized(
        best.candidate.model.proto,
        tuple(attempt.trial for attempt in attempts),
        tuple(layer_sqnr(best.candidate, best.base.model(), spread(samples, _MEASURED))),
        best.candidate.model.raised,
        measured,
        agreement(floats, ours),
    )


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A trial with what it consists of."""

    trial: Trial
    base: FloatGraph
    graph: FloatGraph
    rounded: Mapping[str, Any]
    candidate: Candidate
    observed: Mapping[str, Observed]

    def warnings(self) -> list[str]:
        """What is unusual about it."""
        found = list[str]()
        for name, (scale, zero_point) in self.candidate.model.parameters.items():
            observed = self.observed[name]
            part = clipped_part(observed, scale, zero_point)
            if observed.high == observed.low:
                found.append(f"tensor {name!r} is zero for every sample, so that its range is a guess")
            elif is_crowded(observed, scale, zero_point):
                found.append(
                    f"nearly all values of tensor {name!r} are the same 8-bit number: its range from "
                    f"{observed.low:.3g} to {observed.high:.3g} is that of a few outliers"
                )
            elif self.trial.method == PINNED and part > _CLIPPED:
                found.append(f"{part:.2%} of the values of tensor {name!r} are beyond the range of the old build")
        found += [each.describe() for each in self.candidate.model.raised if each.relative_error > _COSTLY]
        return found


@dataclass(frozen=True, eq=False)
class _Search:
    """Tries ways to quantise and compares them with the float model on some samples."""

    samples: Sequence[Sample]
    few: Sequence[Sample]
    reference: Sequence[Any]
    where: str
    shapes: Mapping[str, tuple[int, ...]]
    methods: Sequence[str]
    pinned: Parameters | None

    @staticmethod
    def of(
        proto: Any,
        samples: Sequence[Sample],
        where: str,
        shapes: Mapping[str, tuple[int, ...]],
        methods: Sequence[str],
        pinned: Parameters | None,
    ) -> _Search:
        few = spread(samples, _MEASURED)
        methods = methods if pinned is None else (PINNED,)
        return _Search(samples, few, float_outputs(proto, few), where, shapes, methods, pinned)

    def attempts(self, graph: FloatGraph) -> list[_Attempt]:
        """The best first."""
        found, number = list[_Attempt](), 0
        for even in (False, True):
            base = _evened(graph, self.samples) if even else graph
            if self.pinned is not None:
                base = self._aligned(base, self.pinned)
            together = rounded_weights(base, self.few)
            for corrected, rounded in ((False, {}), (True, {}), (True, together)):
                number += 1
                step(f"calibrating: way {number} of 6 to quantise")
                current = bias_corrected(base, self.few, rounded) if corrected else base
                found += self._each(base, current, rounded, (even, corrected, bool(rounded)))
        return sorted(found, key=lambda attempt: -attempt.trial.sqnr)

    def _each(
        self, base: FloatGraph, graph: FloatGraph, rounded: Mapping[str, Any], how: tuple[bool, bool, bool]
    ) -> list[_Attempt]:
        observed = observe(graph.model(), quantized_values(graph), self.samples)
        found = list[_Attempt]()
        for method in self.methods:
            parameters = self.pinned
            if parameters is None:
                parameters = parameters_of(graph, {name: range_of(value, method) for name, value in observed.items()})
            candidate = Candidate.of(to_qdq(graph, parameters, rounded), self.where, self.shapes)
            trial = Trial(method, *how, output_sqnr(candidate, self.reference, self.few))
            found.append(_Attempt(trial, base, graph, rounded, candidate, observed))
        return found

    def with_room(self, attempt: _Attempt) -> _Attempt:
        """The same way, with ranges that have room for the values of other weights."""
        step("calibrating: room for other weights")

        def candidate(parameters: Parameters) -> Candidate:
            return Candidate.of(to_qdq(attempt.graph, parameters, attempt.rounded), self.where, self.shapes)

        def measure(parameters: Parameters) -> float:
            return output_sqnr(candidate(parameters), self.reference, self.few)

        found = roomy(attempt.graph, attempt.candidate.model.parameters, attempt.observed, measure)
        trial = replace(attempt.trial, sqnr=measure(found), room=True)
        return replace(attempt, trial=trial, candidate=candidate(found))

    def _aligned(self, graph: FloatGraph, pinned: Parameters) -> FloatGraph:
        """With values as large as the pinned ranges represent best, where that costs nothing."""
        observed = observe(graph.model(), quantized_values(graph), self.samples)
        return aligned(graph, observed, pinned)


def _evened(graph: FloatGraph, samples: Sequence[Sample]) -> FloatGraph:
    observed = observe(graph.model(), quantized_values(graph), samples)
    return equalized(graph, {name: found.channel_peak for name, found in observed.items()})


__all__ = ["METHOD_CHOICES", "Quantized", "Trial", "quantize"]
