"""`verify` and `bisect`: the firmware against the reference, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tinycompile.build import Build
from tinycompile.emulator import Execution
from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.report.document import CERTIFICATE, PARAMETERS
from tinycompile.report.saving import update_report
from tinycompile.toolchain import make
from tinycompile.verify.certificate import certificate_of, save_certificate
from tinycompile.verify.clipping import clipping_of
from tinycompile.verify.outcome import Difference, LayerCount, Verification
from tinycompile.verify.reference import Reference
from tinycompile.verify.tensors import Compared, compared, reference_of, skipped
from tinycompile.verify.tflite import TfliteReference


class Device(Protocol):
    """A board that runs a build's firmware and reports every layer."""

    @property
    def name(self) -> str: ...

    def execute(self, samples: Sequence[Array], steps: int = 0) -> Execution: ...


def verify_build(
    build: Build,
    samples: Sequence[Array],
    reals: Sequence[Array] | None = None,
    steps: int = 0,
    device: Device | None = None,
) -> Verification:
    """Run every sample in QEMU and by the reference; compare outputs and all layers that exist in the source model.

    The plain firmware's outputs are compared too, since it is what gets flashed; the layers come from the trace
    build. Both are made first, of the sources as they are. Writes `certificate.json` and `verify` in the report.

    Args:
        samples: one array (samples, *shape) per input, as the firmware takes it.
        reals: the same as real numbers; with them it is asked which ranges of a TFLite model clip.
        steps: of each sequence, before which states begin again; 0 where all samples are one.
        device: that runs them in the place of QEMU.

    Raises:
        ToolMissingError: QEMU, LiteRT or onnxruntime isn't installed.
        MismatchError: shapes, types or the interface's quantisation are others than the reference's.
    """
    check_parameters(build)
    reference = reference_of(build)
    counts, first = dict[tuple[int | None, str], LayerCount](), None
    for found in _run(build, reference, samples, steps, device):
        counts.setdefault((found.layer, found.name), LayerCount(found.name)).add(found)
        if first is None and found.differences:
            first = Difference.of(found)
    layers, left_out = tuple(counts.values()), tuple(skipped(build, reference))
    clipping = None
    if reals is not None and isinstance(reference, TfliteReference):
        clipping = clipping_of(reference, samples, reals)
    result = Verification(len(samples[0]), layers, left_out, first, reference.witnesses, clipping)
    save_certificate(build, certificate_of(build, samples, result, steps, None if device is None else device.name))
    _record(build, result)
    return result


def check_parameters(build: Build) -> None:
    """Raises UsageError where a model begins with what it learned, which its file doesn't have."""
    if build.report["options"].get("parameters"):
        raise UsageError(
            "no reference has what this model has learned",
            where=str(build.folder / PARAMETERS),
            why="its source is the model before that",
            hint="verify --train compares with the definition of its training steps",
        )


@dataclass(frozen=True, eq=False)
class Bisection:
    """The result of `bisect`.

    Attributes:
        agreed: tensors of the sample that were compared before the difference; without one, tensors of all samples.
        unknown: tensors computed after the last one that agrees and up to the difference, which can't be compared.
    """

    samples: int
    agreed: int
    difference: Difference | None
    unknown: tuple[str, ...] = ()


def bisect_build(build: Build, samples: Sequence[Array], steps: int = 0) -> Bisection:
    """The first tensor, in the order of execution, in which the firmware deviates from the reference.

    Of the first sample for which there is one. The plain firmware, which refuses damaged weights, runs only where every
    tensor of the trace build agrees.

    Args:
        steps: of each sequence, before which states begin again; 0 where all samples are one.
    """
    check_parameters(build)
    make(build.folder, "all", toolchain=build.board.toolchain)
    traced, reference = build.trace(samples, steps).trace, reference_of(build)
    result = _first(build, samples, compared(build, reference, samples, None, traced, steps))
    if result.difference is not None:
        return result
    plain = build.execute(samples, steps).outputs
    return _first(build, samples, compared(build, reference, samples, plain, traced, steps))


def _first(build: Build, samples: Sequence[Array], tensors: Iterator[Compared]) -> Bisection:
    agreed, last, sample, total = 0, -1, 0, 0
    for found in tensors:
        if found.sample != sample:
            agreed, last, sample = 0, -1, found.sample
        if found.differences:
            return Bisection(len(samples[0]), agreed, Difference.of(found), _between(build, last, found.layer))
        agreed, total = agreed + 1, total + 1
        last = last if found.layer is None else found.layer
    return Bisection(len(samples[0]), total, None)


def _run(
    build: Build, reference: Reference, samples: Sequence[Array], steps: int, device: Device | None
) -> Iterator[Compared]:
    if device is not None:
        found = device.execute(samples, steps)
        return compared(build, reference, samples, found.outputs, found.trace, steps)
    make(build.folder, "all", toolchain=build.board.toolchain)
    plain, traced = build.execute(samples, steps), build.trace(samples, steps)
    return compared(build, reference, samples, plain.outputs, traced.trace, steps)


def _between(build: Build, last: int, layer: int | None) -> tuple[str, ...]:
    layers = build.report["layers"][last + 1 : layer]
    return tuple(entry["name"] for each in layers for entry in each["outputs"] if entry["source_index"] is None)


def _record(build: Build, result: Verification) -> None:
    build.report["verify"] = {
        "reference": result.witnesses[0].name,
        "samples": result.samples,
        "tensors_compared": result.tensors,
        "values_compared": result.values,
        "differences": result.differences,
        "ties": result.ties,
        "not_in_source": list(result.skipped),
        "first_difference": None if result.difference is None else result.difference.describe(),
        "certificate": CERTIFICATE,
    }
    update_report(build.folder, build.report)
