"""Tensor by tensor: what the firmware computed beside what the reference says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import MismatchError, ToolFailedError
from tinycompile.ir import Array
from tinycompile.trace import TraceRecord
from tinycompile.verify.framed import FramedReference, front_end_of
from tinycompile.verify.pruned import PrunedReference
from tinycompile.verify.reference import TOLERANCE, Expected, Judged, Reference, Reported, dequantized
from tinycompile.verify.sliding import SlidingReference, with_whole_windows
from tinycompile.verify.tflite import TfliteReference


@dataclass(frozen=True, eq=False)
class Verdict:
    """On the values of a tensor: which are wrong; how many were ties, how many floats within the bound; the largest
    deviation of those, relative to the tensor's largest value.
    """

    wrong: Array
    ties: int = 0
    bounded: int = 0
    error: float = 0.0


@dataclass(frozen=True, eq=False)
class Compared:
    """One tensor of one sample.

    Attributes:
        layer: its number; None for the outputs of the plain firmware.
        name: of the layer.
        values: how many the firmware computed: in a stage none need be that nobody reads.
        by: the number of the witness.
    """

    sample: int
    layer: int | None
    name: str
    tensor: str
    expected: Array
    got: Array
    verdict: Verdict
    values: int
    by: int = 0

    @property
    def differing(self) -> Array:
        """A flag per value."""
        return self.verdict.wrong

    @property
    def differences(self) -> int:
        return int(np.count_nonzero(self.differing))


def compare(expected: Expected, got: Array, known: Array) -> Verdict:
    """Bit for bit, unless the reference leaves something open; of values that the firmware computed."""
    want = expected.values
    bits = f"u{got.dtype.itemsize}"
    other = np.ascontiguousarray(want).view(bits) != np.ascontiguousarray(got).view(bits)
    wrong = np.asarray(other.reshape(got.shape) & known)  # a scalar has become a vector on the way
    if not wrong.any():
        return Verdict(wrong)
    if got.dtype.kind in "fV":  # ml_dtypes says that its own are void
        return Verdict(wrong) if expected.bits else _near(want, got, wrong)
    beside = wrong & (np.abs(want.astype(np.int64) - got.astype(np.int64)) == 1)
    exact = expected.decide() if expected.decide is not None and beside.any() else None
    if exact is None:
        return Verdict(wrong)
    ties = beside & (exact == got)
    return Verdict(wrong & ~ties, int(np.count_nonzero(ties)))


_SHORT = {"float16": 2.0**-9, "bfloat16": 2.0**-6}
"""Tolerances where the reference rounds every step to so few bits and the firmware only the result."""


def _near(want: Array, got: Array, wrong: Array) -> Verdict:
    """Floats within `TOLERANCE`; NaN only where NaN is expected. An infinity may stand for the largest finite number,
    to which LiteRT's kernels limit what they compute, as they would for an activation.
    """
    tolerance = _SHORT.get(want.dtype.name, TOLERANCE)
    if want.dtype.name in _SHORT:
        want, got = want.astype(np.float32), got.astype(np.float32)
    limit = np.finfo(want.dtype).max
    got = np.where(np.isinf(want), got, np.clip(got, -limit, limit))
    largest = float(np.abs(want[np.isfinite(want)]).max(initial=0))
    with np.errstate(invalid="ignore"):
        error = np.asarray(np.abs(want.astype(np.float64) - got) / max(1e-30, largest))
    error[np.isnan(want) & np.isnan(got)] = 0
    fine = wrong & (error <= tolerance)
    return Verdict(wrong & ~fine, 0, int(np.count_nonzero(fine)), float(error[fine].max(initial=0.0)))


def reference_of(build: Build) -> Reference:
    """What defines the meaning of the build's source model.

    Raises:
        ToolMissingError: it isn't installed.
    """
    if build.report.get("pruning") is not None:
        return PrunedReference(_reference(build), build)
    if any(build.report["options"].get(name) is not None for name in ("camera", "frontend")):
        whole, front, shape = front_end_of(build)
        return FramedReference(_reference(whole), front, shape)
    if build.report.get("slide") is None:
        return _reference(build)
    return SlidingReference(_reference(with_whole_windows(build)), build.report)


def _reference(build: Build) -> Reference:
    if build.source.suffix.lower() != ".onnx":
        return TfliteReference(build)
    from tinycompile.verify.onnx import OnnxReference

    return OnnxReference(build)


def skipped(build: Build, reference: Reference) -> list[str]:
    """Tensors that the source model doesn't have; outputs are compared in any case."""
    outputs = {entry["name"] for entry in build.report["outputs"]}
    entries = [entry for layer in build.report["layers"] for entry in layer["outputs"]]
    return [name for name in reference.skipped(entries) if name not in outputs]


def compared(
    build: Build,
    reference: Reference,
    samples: Sequence[Array],
    plain: Sequence[Array] | None,
    traced: Sequence[Sequence[TraceRecord]],
    steps: int = 0,
) -> Iterator[Compared]:
    """Every tensor that the source model has, sample by sample, in the order of execution.

    Args:
        samples: one array (samples, *shape) per input. plain: the plain firmware's outputs of all samples; None
            to compare only what the trace build reported.
        traced: per sample, what the trace build reported.
        steps: of each sequence; 0 where all samples are one.
    """
    for sample, records in enumerate(traced):
        if sample % (steps or len(traced)) == 0:  # the first one, too: the reference may have judged others before
            reference.reset()
        reported = [Reported(*found) for found in _layer_results(build, records)]
        judged = reference.judge([np.asarray(array[sample]) for array in samples], reported)
        for each in reported:
            expected = judged.layer(each.entry)
            if expected is not None:
                got, known = each.record.against(expected.values)
                yield _compared(sample, each.index, each.layer, each.entry["name"], expected, got, known)
        for i, (entry, array) in enumerate(zip(build.report["outputs"], plain or (), strict=plain is not None)):
            expected, got = expected_output(build, judged, i), np.asarray(array[sample])
            if expected.values.dtype == np.float32 and got.dtype != np.float32:  # --io int8
                got = dequantized(got, entry)
            _same_type(expected.values, got, entry["name"])
            known = np.ones(got.shape, bool)
            yield _compared(sample, None, f"model output {i}", entry["name"], expected, got, known)


def expected_output(build: Build, judged: Judged, index: int) -> Expected:
    """A model output; where the softmax in front of it is left out (`--backend class`), the scores that it is given.

    Raises:
        MismatchError: the reference doesn't have these.
    """
    if build.report["options"].get("folded_output") != index:
        return judged.output(index, build.report["outputs"][index])
    name = build.report["outputs"][index]["name"]
    entries = (entry for layer in build.report["layers"] for entry in layer["outputs"] if entry["name"] == name)
    found = next(filter(None, map(judged.layer, entries)), None)
    if found is None:
        why = "--backend class leaves out the softmax behind it, which the reference has"
        raise MismatchError("the reference doesn't have the scores", where=name, why=why, hint="build with top_k:k=1")
    return found


def _same_type(expected: Array, got: Array, name: str) -> None:
    if expected.dtype != got.dtype:
        what = "the firmware's output has another type than the reference's"
        raise MismatchError(what, where=name, why=f"{got.dtype} and {expected.dtype}")


def _compared(
    sample: int, layer: int | None, name: str, tensor: str, expected: Expected, got: Array, known: Array
) -> Compared:
    verdict, values = compare(expected, got, known), int(np.count_nonzero(known))
    return Compared(sample, layer, name, tensor, expected.values, got, verdict, values, expected.by)


def _layer_results(
    build: Build, records: Sequence[TraceRecord]
) -> Iterator[tuple[int, str, dict[str, Any], TraceRecord]]:
    entries = [
        (index, layer["name"], entry)
        for index, layer in enumerate(build.report["layers"])
        if layer["traced"]
        for entry in layer["outputs"]
        if 0 not in entry["shape"]  # of which nothing is traced
    ]
    count, states = len(build.report["layers"]), build.report.get("states", ())
    if build.report["options"].get("train") is None:  # a prediction ends before states change
        entries += [(count + i, f"state {s['name']}", s) for i, s in enumerate(states)]
    if [record.layer for record in records] != [index for index, *_ in entries]:
        raise ToolFailedError(
            "the trace doesn't have the layers of the report",
            where=str(build.folder),
            hint="build the model again; its code was changed",
        )
    for (index, name, entry), record in zip(entries, records, strict=True):
        yield index, name, entry, record
