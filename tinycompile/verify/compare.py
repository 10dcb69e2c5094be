"""`verify` and `bisect`: the firmware against the reference, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.build import Build
from tinycompile.ir import Array
from tinycompile.report.document import CERTIFICATE, update_report
from tinycompile.toolchain import make
from tinycompile.verify.certificate import certificate_of, save_certificate
from tinycompile.verify.reference import Reference, Witness
from tinycompile.verify.tensors import Compared, compared, reference_of, skipped


@dataclass(frozen=True, eq=False)
class Difference:
    """The first deviation in execution order.

    Attributes:
        number: of the layer; None for an output of the plain firmware.
        count: values that differ, of `size` that were computed.
    """

    sample: int
    number: int | None
    layer: str
    tensor: str
    shape: tuple[int, ...]
    dtype: str
    index: tuple[int, ...]
    expected: float
    got: float
    count: int
    size: int

    @staticmethod
    def of(found: Compared) -> Difference:
        index = tuple(int(i) for i in np.argwhere(found.differing)[0])
        return Difference(
            sample=found.sample,
            number=found.layer,
            layer=found.name,
            tensor=found.tensor,
            shape=found.got.shape,
            dtype=str(found.got.dtype),
            index=index,
            expected=found.expected[index].item(),
            got=found.got[index].item(),
            count=found.differences,
            size=found.values,
        )

    def describe(self) -> str:
        return (
            f"sample {self.sample}, layer {self.layer!r}, tensor {self.tensor!r}: {self.count} of {self.size} values "
            f"differ, first at {list(self.index)}: expected {self.expected}, got {self.got}"
        )


@dataclass
class LayerCount:
    """What was compared of one layer, or of one output of the plain firmware, over all samples."""

    name: str
    tensors: int = 0
    values: int = 0
    differences: int = 0
    ties: int = 0
    bounded: int = 0
    error: float = 0.0
    by: int = 0

    def add(self, found: Compared) -> None:
        self.tensors += 1
        self.values += found.values
        self.differences += found.differences
        self.ties += found.verdict.ties
        self.bounded += found.verdict.bounded
        self.error = max(self.error, found.verdict.error)
        self.by = max(self.by, found.by)


@dataclass(frozen=True, eq=False)
class Verification:
    """The result of `verify`.

    Attributes:
        skipped: tensors that the source model doesn't have.
        difference: the first one.
        witnesses: what was asked, in the order of `LayerCount.by`.
    """

    samples: int
    layers: tuple[LayerCount, ...]
    skipped: tuple[str, ...]
    difference: Difference | None
    witnesses: tuple[Witness, ...]

    @property
    def ties(self) -> int:
        """Values one step beside the reference that equal the exact sum."""
        return sum(layer.ties for layer in self.layers)

    @property
    def bounded(self) -> int:
        """Floats that aren't equal, within the bound."""
        return sum(layer.bounded for layer in self.layers)

    @property
    def error(self) -> float:
        """The largest relative deviation of floats that needn't be equal."""
        return max((layer.error for layer in self.layers), default=0.0)

    @property
    def tensors(self) -> int:
        return sum(layer.tensors for layer in self.layers)

    @property
    def values(self) -> int:
        return sum(layer.values for layer in self.layers)

    @property
    def differences(self) -> int:
        return sum(layer.differences for layer in self.layers)


def verify_build(build: Build, samples: Sequence[Array]) -> Verification:
    """Run every sample in QEMU and by the reference; compare outputs and all layers that exist in the source model.

    The plain firmware's outputs are compared too, since it is what gets flashed; the layers come from the trace
    build. Both are made first, of the sources as they are. Writes `certificate.json` and `verify` in the report.

    Raises:
        ToolMissingError: QEMU, LiteRT or onnxruntime isn't installed.
        MismatchError: shapes, types or the interface's quantisation are others than the reference's.
    """
    reference = reference_of(build)
    counts, first = dict[tuple[int | None, str], LayerCount](), None
    for found in _run(build, reference, samples):
        counts.setdefault((found.layer, found.name), LayerCount(found.name)).add(found)
        if first is None and found.differences:
            first = Difference.of(found)
    layers, left_out = tuple(counts.values()), tuple(skipped(build, reference))
    result = Verification(len(samples[0]), layers, left_out, first, reference.witnesses)
    save_certificate(build, certificate_of(build, samples, result))
    _record(build, result)
    return result


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


def bisect_build(build: Build, samples: Sequence[Array]) -> Bisection:
    """The first tensor, in the order of execution, in which the firmware deviates from the reference.

    Of the first sample for which there is one. The plain firmware, which refuses damaged weights, runs only where every
    tensor of the trace build agrees.
    """
    make(build.folder, "all", toolchain=build.board.toolchain)
    traced, reference = build.trace(samples).trace, reference_of(build)
    result = _first(build, samples, compared(build, reference, samples, None, traced))
    if result.difference is not None:
        return result
    return _first(build, samples, compared(build, reference, samples, build.execute(samples).outputs, traced))


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


def _run(build: Build, reference: Reference, samples: Sequence[Array]) -> Iterator[Compared]:
    make(build.folder, "all", toolchain=build.board.toolchain)
    plain, traced = build.execute(samples), build.trace(samples)
    return compared(build, reference, samples, plain.outputs, traced.trace)


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
