"""Float models to QDQ models: calibrate, try, measure, keep the best."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinycompile.errors import QuantizationWarning, UnsupportedError, UsageError
from tinycompile.frontend.onnx_control import is_control_flow
from tinycompile.frontend.onnx_file import OnnxModel, static_model
from tinycompile.frontend.onnx_rewrite import label_of
from tinycompile.ir import Array
from tinycompile.progress import step
from tinycompile.quantize.as_tflite import as_tflite, constrained, outputs_of_tflite, spelled
from tinycompile.quantize.calibration import Sample, load_samples, spread
from tinycompile.quantize.carried import check_states
from tinycompile.quantize.channel_removal import without_channels
from tinycompile.quantize.data_free import imagined, transferred
from tinycompile.quantize.execution import outputs_of, refusals_of
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.float_model import float_model
from tinycompile.quantize.low_bit_storage import with_types_for
from tinycompile.quantize.measure import Accuracy, Choices, accuracy, choices, sqnr
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.pinned import check_pinned
from tinycompile.quantize.prepare import prepared, with_biases
from tinycompile.quantize.qdq import Parameters, quantized_values
from tinycompile.quantize.ranges import METHODS
from tinycompile.quantize.scales import RaisedChannel
from tinycompile.quantize.scores import bound_masks
from tinycompile.quantize.ways import AUTO, EXPONENTS, Attempt, Trial, attempts
from tinycompile.quantize.weight_bits import WeightBits

Form = Literal["onnx", "tflite"]

METHOD_CHOICES = (AUTO, *METHODS)
EFFORT_CHOICES = tuple(EXPONENTS)
_LIMIT = 512
"""Samples that are looked at for ranges."""
_MEASURED = 48
"""Samples on which layers are compared."""
_EACH, _LEAST = 4, 16
"""Every fourth sample is kept apart to measure with, if there are at least sixteen."""
_PRUNED_ELEMENTS = 1 << 26
"""Of all values of all samples by which weights make up for channels that are removed, at most."""
_LONGEST_NAME = 40
"""In a line with others."""
_STORED = 4
"""Bits of the type that codes of fewer bits are stored in, where bits are chosen."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """The best QDQ model, and what was measured.

    Attributes:
        proto: the model.
        tflite: the same network as a TFLite file, with TFLite's meaning; None unless it was asked for.
        trials: all that were tried, the best first.
        sqnr: of the worst output in dB, on the samples that `measured_on` names.
        measured_on: which samples those are.
        layers: (tensor, SQNR in dB) of the best one, the worst first, on the same samples.
        raised: channels whose weights have a larger scale than their own, so that the accumulator fits.
        accuracy: on labelled samples, if there were any.
        choices: how often both models choose the same, if they choose.
    """

    proto: Any
    trials: tuple[Trial, ...]
    sqnr: float
    measured_on: str
    layers: tuple[tuple[str, float], ...]
    raised: tuple[RaisedChannel, ...]
    accuracy: Accuracy | None
    choices: Choices | None
    tflite: bytes | None = None

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "summary": self.lines(),
            "trials": [{"how": trial.describe(), "sqnr_db": trial.sqnr} for trial in self.trials],
            "wide_tensors": list(self.trials[0].wide),
            "wide_part": self.trials[0].wide_part,
            "sqnr_db": self.sqnr,
            "measured_on": self.measured_on,
            "layers_sqnr_db": [{"tensor": name, "sqnr_db": ratio} for name, ratio in self.layers],
            "raised_channels": [asdict(each) | {"text": each.describe()} for each in self.raised],
            "agreement": None if self.choices is None else self.choices.same,
            "accuracy": None if self.accuracy is None else asdict(self.accuracy),
        }

    def lines(self) -> list[str]:
        """What a person wants to know, for the terminal."""
        lines = [f"quantised: {self.trials[0].describe()} on the calibration set"]
        lines.append(f"SQNR {self.sqnr:.2f} dB on {self.measured_on}")
        worst = ", ".join(f"{shortened(name)} {ratio:.1f} dB" for name, ratio in self.layers[:5])
        if worst:
            lines.append(f"worst layers: {worst}")
        best = self.trials[0]
        if best.wide:
            names = ", ".join(map(shortened, best.wide))
            lines.append(f"16 bits: {names}; {best.wide_part:.1%} of the products, which take 2 to 4 times as long")
        if self.raised:
            many = len(self.raised)
            lines.append(f"weight scales raised for the accumulator to fit: {many} channel{'s' if many > 1 else ''}")
        if self.choices is not None:
            lines.append(f"{self.choices.what} is the float model's in {self.choices.same:.1%}")
        if self.accuracy is not None:
            a = self.accuracy
            lines.append(f"{a.metric}: float {a.float_value:.2%}, quantised {a.int8_value:.2%}")
        return lines


def shortened(name: str) -> str:
    """The end of a tensor's path, which tells it from others: PyTorch's have 100 characters in TFLite files."""
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples to calibrate with, and to measure with.

    Attributes:
        labels: of the latter, if there are any.
        measured_on: what the latter are, in words.
    """

    calibration: list[Sample]
    judged: list[Sample]
    labels: Array | None
    measured_on: str

    @staticmethod
    def of(calib: Path, evaluation: Path | None, static: OnnxModel, states: Mapping[str, str]) -> Samples:
        samples, _ = load_samples(calib, static, states=states)
        if evaluation is not None:
            judged, labels = load_samples(evaluation, static, labelled=True, states=states)
            return Samples(spread(samples, _LIMIT), judged, labels, f"the {len(judged)} samples of {evaluation.name}")
        if len(samples) < _LEAST:
            text = f"the {len(samples)} calibration samples themselves: {_LEAST} are enough to keep some apart"
            return Samples(samples, samples, None, text)
        judged = spread(samples[_EACH - 1 :: _EACH], _LIMIT)
        kept = [sample for index, sample in enumerate(samples) if index % _EACH != _EACH - 1]
        text = f"{len(judged)} of {len(samples)} samples, which calibration doesn't see"
        return Samples(spread(kept, _LIMIT), judged, None, text)


def quantize(
    model: Path,
    calib: Path | None,
    *,
    method: str = AUTO,
    effort: str = "default",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    evaluation: Path | None = None,
    pinned: Parameters | None = None,
    room: bool = False,
    signature: str | None = None,
    layout: str = "model",
    states: Mapping[str, str] | None = None,
    form: Form = "onnx",
    description: str = "",
    weight_bits: int | Mapping[str, int] | None = None,
    group: int | None = None,
    weight_method: str = "auto",
) -> Quantized:
    """Quantise a float model, ONNX or TFLite: int8 activations per tensor, int8 weights per output channel; with a high
    effort int16 for the few activations whose rounding costs most.

    Args:
        calib: `.npz` with real inputs. A quarter of them is kept apart to measure with, unless `evaluation` is given.
            None for what batch normalisations say of values (`data_free.py`), with a warning.
        method: how ranges are found: one of `METHODS`, or "auto" for what does least to the outputs.
        effort: a key of `EXPONENTS`: how much is tried.
        evaluation: `.npz` with samples to measure with (`x`), and their labels if there are any (`y`).
        pinned: scale and zero point of every quantised tensor, of a model whose code is to be kept; then `method` means
            nothing.
        room: ranges have room for other weights, see `headroom.py`.
        signature: whose subgraph of a `.tflite` file is meant; None for the main one.
        layout: in which the model will be compiled; samples have the file's.
        states: outputs by the input that they are in the next step; samples are steps of one sequence, without them.
        form: of the file that is wanted: "onnx", or "tflite", which has only operators that TFLite has for int8.
        description: what a TFLite file says of itself.
        weight_bits, group, weight_method: of weights, see `WeightBits`; None for 8 bits.

    Raises:
        UsageError, SamplesError, ModelFileError, UnsupportedError.
    """
    few = None if weight_bits is None else WeightBits(weight_bits, group, weight_method)
    _check_options(method, effort, few, calib, form)
    found = _calibrated(
        model,
        calib,
        few.used() if few is not None else (),
        _Ways(method, effort, pinned, room),
        _Wanted(form, description),
        shapes=shapes or {},
        evaluation=evaluation,
        signature=signature,
        layout=layout,
        states=states or {},
    )
    return found.written(() if few is None else (found.with_bits(few),))


@dataclass(frozen=True)
class _Ways:
    """What is tried, as `quantize` is told."""

    method: str = AUTO
    effort: str = "default"
    pinned: Parameters | None = None
    room: bool = False


@dataclass(frozen=True)
class _Wanted:
    """The file to be made, as `quantize` is told."""

    form: Form = "onnx"
    description: str = ""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A float model with samples and ways to quantise it: all that is found out before weights get few bits.

    Attributes:
        given, static: the model, and the one that `samples` are of.
        graph: the network that was quantised, in the forms that quantisation knows.
        attempts: ways to quantise it with weights of 8 bits, the best first.
        guessed: whether its samples are.
        ways: what was tried.
    """

    where: str
    given: OnnxModel
    static: OnnxModel
    samples: Samples
    graph: FloatGraph
    attempts: Sequence[Attempt]
    guessed: bool
    ways: _Ways
    wanted: _Wanted

    def without_channels(self, reads: Mapping[str, Array], makes: Mapping[str, Array]) -> Calibrated:
        """The same model without some channels, calibrated again; what is written is still measured by the model.

        Args:
            reads, makes: channels by the name of a layer's result, see `channel_removal.py`.
        """
        step("removing channels")
        elements = sum(prod(shape) for name, shape in self.graph.shapes.items() if name not in self.graph.constants)
        few = spread(self.samples.calibration, min(_LIMIT, max(_LEAST, _PRUNED_ELEMENTS // max(1, elements))))
        graph = without_channels(self.graph, few, reads, makes)
        samples, ways = self.samples, self.ways
        found = attempts(graph, samples.calibration, samples.judged, ways.method, ways.effort, None, room=False)
        return replace(self, graph=graph, attempts=found)

    def with_bits(self, few: WeightBits) -> Attempt:
        """The best way, with weights of few bits. Raises UsageError for a name that no layer has."""
        return few.applied(self.attempts[0], self.samples.calibration, self.samples.judged, self.where)

    def written(self, others: Sequence[Attempt] = ()) -> Quantized:
        """The file of the first of these ways, without any of the best one with 8 bits, and what was measured of it."""
        found, samples, form = [*others, *self.attempts], self.samples, self.wanted.form
        best = found[0]
        if form == "tflite":  # whose 16 bits are others
            found = [each for each in found if not each.wide]
            best = found[0].refitted(constrained(found[0].network.graph, found[0].parameters))
        for text in best.warnings():
            warnings.warn(f"{self.where}: {text}", QuantizationWarning, stacklevel=3)
        final = best
        if self.guessed:
            few = samples.judged[:2]
            final = transferred(best, bound_masks(_prepared(self.given, self.where, form), few), few)
        step(f"measuring on {len(samples.judged)} samples")

        def file_of(attempt: Attempt) -> bytes | None:
            if form != "tflite":
                return None
            proto, graph = attempt.model.proto, attempt.network.graph
            return as_tflite(proto, graph, self.where, self.wanted.description, few_bits=bool(others))

        trials = tuple(each.trial for each in found)
        result = _measured(self.static, trials, best, samples, file_of(best))
        return result if final is best else replace(result, proto=final.model.proto, tflite=file_of(final))


def calibrated_for_few_bits(
    model: Path,
    calib: Path,
    *,
    method: str = AUTO,
    effort: str = "default",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    evaluation: Path | None = None,
    signature: str | None = None,
    layout: str = "model",
    states: Mapping[str, str] | None = None,
) -> Calibrated:
    """A float model that ONNX files with weights of few bits can be made of; arguments and errors as of `quantize`.

    Two bits are stored as INT4, which more of other programs read, and which a build packs all the same.
    """
    _check_options(method, effort, None, calib, "onnx")
    return _calibrated(
        model,
        calib,
        (_STORED,),
        _Ways(method, effort),
        _Wanted(),
        shapes=shapes or {},
        evaluation=evaluation,
        signature=signature,
        layout=layout,
        states=states or {},
    )


def calibrated_as_it_is(model: Path, calib: Path, evaluation: Path | None = None) -> Calibrated:
    """A float model whose channels aren't evened out, so that its weights stay in proportion to each other.

    Raises: as `quantize`.
    """
    ways = model, calib, (), _Ways(), _Wanted()
    return _calibrated(
        *ways, shapes={}, evaluation=evaluation, signature=None, layout="model", states={}, equalising=False
    )


def _calibrated(
    model: Path,
    calib: Path | None,
    bits: Collection[int],
    ways: _Ways,
    wanted: _Wanted,
    *,
    equalising: bool = True,
    shapes: Mapping[str, tuple[int, ...]],
    evaluation: Path | None,
    signature: str | None,
    layout: str,
    states: Mapping[str, str],
) -> Calibrated:
    """Args: bits: for which the file has types. equalising: of channels. Others as of `quantize`."""
    where, form = str(model), wanted.form
    proto = float_model(model, shapes, signature, layout)
    if bits and form == "onnx":
        proto = with_types_for(proto, bits)
    given = static_model(proto, where, shapes)
    _refuse_control_flow(given, where)
    check_states(states, given, where)
    with refusals_of(where):
        static, samples = (
            (given, Samples.of(calib, evaluation, given, states)) if calib is not None else _imagined(given, where)
        )
        graph = bound_masks(_prepared(static, where, form), spread(samples.calibration, _MEASURED))
        if ways.pinned is not None:
            check_pinned(ways.pinned, quantized_values(graph), where)
        found = attempts(
            graph,
            samples.calibration,
            samples.judged,
            ways.method,
            ways.effort,
            ways.pinned,
            ways.room,
            equalising=equalising and calib is not None,
        )
    return Calibrated(where, given, static, samples, graph, found, calib is None, ways, wanted)


def _check_options(method: str, effort: str, few: WeightBits | None, calib: Path | None, form: Form) -> None:
    """Raises UsageError."""
    for option, given, known in (("method", method, METHOD_CHOICES), ("effort", effort, EFFORT_CHOICES)):
        if given not in known:
            raise UsageError(f"--calib-{option} {given!r} is unknown", hint=f"one of: {', '.join(known)}")
    if few is not None:
        few.check()
        if few.group is not None and form == "tflite":
            raise UsageError("--group is for .onnx", why="TFLite's integer kernels take one scale for each channel")
        if calib is None:
            raise UsageError("--weight-bits needs --calib", why="weights of few bits are fitted to real inputs")


def _prepared(static: OnnxModel, where: str, form: Form) -> FloatGraph:
    """The model in the forms that quantisation knows."""
    graph = with_biases(simplified(prepared(static.proto, static.shapes, where)))
    return spelled(graph) if form == "tflite" else graph


def _imagined(given: OnnxModel, where: str) -> tuple[OnnxModel, Samples]:
    """The network and the samples that take the place of those that nobody gave."""
    found = imagined(given, where)
    if found.normalisations:
        guess = f"the statistics of {found.normalisations} batch normalisations say them, which costs some 2 dB"
        text = f"{len(found.samples)} random inputs with the statistics of {found.normalisations} batch normalisations"
    else:
        guess = "there is no batch normalisation that says them, and random inputs may cost all there is"
        text = f"{len(found.samples)} random inputs"
    warnings.warn(
        f"{where}: without samples ranges are guessed: {guess}; --calib with some real inputs is better",
        QuantizationWarning,
        stacklevel=4,
    )
    return static_model(found.proto, where), Samples(found.samples, found.samples, None, text)


def _refuse_control_flow(model: OnnxModel, where: str) -> None:
    """Of loops and branches that stay. Raises UnsupportedError."""
    problems = [
        (label_of(node, index), "a loop or a branch at run time isn't quantised")
        for index, node in enumerate(model.nodes)
        if is_control_flow(node)
    ]
    if problems:
        raise UnsupportedError(problems, where=where, hint="build it with --dtype float32")


def _measured(
    static: OnnxModel, trials: tuple[Trial, ...], best: Attempt, samples: Samples, content: bytes | None
) -> Quantized:
    names = [value.name for value in static.proto.graph.output]
    shapes = {**static.shapes, **{f"{name}_dequantized": shape for name, shape in static.shapes.items()}}
    found = outputs_of(static.proto, names, samples.judged, shapes)
    floats = {name: _by_sample(value, len(samples.judged)) for name, value in found.items()}
    if content is None:
        found = outputs_of(best.model.proto, names, samples.judged, shapes)
        ours = {name: _by_sample(value, len(samples.judged)) for name, value in found.items()}
    else:
        ours = outputs_of_tflite(content, names, samples.judged)
    inputs = np.stack([sample[static.inputs[0].name] for sample in samples.judged])
    labels = samples.labels
    return Quantized(
        best.model.proto,
        trials,
        min(sqnr(floats[name], ours[name]) for name in names),
        samples.measured_on,
        tuple(_layers(best, spread(samples.judged, _MEASURED), shapes)),
        best.model.raised,
        None if labels is None else accuracy(floats[names[0]], ours[names[0]], inputs, labels),
        choices(floats[names[0]], ours[names[0]], inputs),
        content,
    )


def _by_sample(value: Array, count: int) -> Array:
    return value.reshape(count, -1, *value.shape[1:])


def _layers(best: Attempt, samples: Sequence[Sample], shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[str, float]]:
    """(tensor, dB) of every quantised tensor against the float network's, the worst first."""
    network, proto = best.network.on(samples), best.model.proto
    known = {name for node in proto.graph.node for name in node.output}
    shown = {name: f"{name}_dequantized" for name in best.parameters}
    shown = {name: each if each in known else name for name, each in shown.items() if name not in network.inputs}
    values = outputs_of(proto, list(shown.values()), samples, shapes)
    ratios = [(name, sqnr(network.floats[name], values[each])) for name, each in shown.items()]
    return sorted(ratios, key=lambda pair: pair[1])


__all__ = [
    "EFFORT_CHOICES",
    "METHOD_CHOICES",
    "Calibrated",
    "Quantized",
    "Trial",
    "calibrated_for_few_bits",
    "quantize",
]
