"""Tensor by tensor: what the firmware computed beside what the reference says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array
from tinycompile.trace import TraceRecord
from tinycompile.verify.litert import LiteRtReference
from tinycompile.verify.onnx import OnnxReference

Reference = LiteRtReference | OnnxReference

TOLERANCE = 1e-4
"""Of sums of floats, whose order nobody defines, relative to the tensor's largest value. Everything else is exact."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One tensor of one sample.

    Attributes:
        layer: its number; None for the outputs of the plain firmware.
        name: of the layer. exact: bit for bit.
        known: which values the firmware computed: in a stage none need be that nobody reads.
    """

    sample: int
    layer: int | None
    name: str
    tensor: str
    expected: Array
    got: Array
    known: Array
    exact: bool

    @cached_property
    def differing(self) -> Array:
        """A flag per value."""
        return differing(self.expected, self.got, self.exact) & self.known

    @property
    def values(self) -> int:
        return int(np.count_nonzero(self.known))

    @property
    def differences(self) -> int:
        return int(np.count_nonzero(self.differing))


def differing(expected: Array, got: Array, exact: bool) -> Array:
    """Which values differ: their bits; of floats that needn't be exact, the values."""
    bits = f"u{got.dtype.itemsize}"
    other = np.ascontiguousarray(expected).view(bits) != np.ascontiguousarray(got).view(bits)
    if exact or got.dtype.kind != "f":
        return other
    with np.errstate(invalid="ignore"):
        near = np.abs(expected - got) <= TOLERANCE * max(1e-30, float(np.abs(expected).max(initial=0)))
    return other & ~near


def reference_of(build: Build) -> Reference:
    """What defines the meaning of the build's source model."""
    if build.source.suffix.lower() != ".onnx":
        return LiteRtReference(build.source)
    options = build.report["options"]
    shapes = {name: tuple(shape) for name, shape in options.get("shapes", {}).items()}
    return OnnxReference(build.source, shapes, options.get("layout", "model"), options.get("floats", "none"))


def skipped(build: Build) -> list[str]:
    """Tensors that the source model doesn't have."""
    entries = [entry for layer in build.report["layers"] for entry in layer["outputs"]]
    return [entry["name"] for entry in entries if entry["source_index"] is None]


def compared(
    build: Build,
    reference: Reference,
    samples: Sequence[Array],
    plain: Sequence[Array] | None,
    traced: Sequence[Sequence[TraceRecord]],
) -> Iterator[Compared]:
    """Every tensor that the source model has, sample by sample, in the order of execution.

    Args:
        samples: one array (samples, *shape) per input. plain: the plain firmware's outputs of all samples; None
            to compare only what the trace build reported.
        traced: per sample, what the trace build reported.
    """
    exact = not any(layer["op"].startswith("float_") for layer in build.report["layers"])
    for sample, records in enumerate(traced):
        reference.run([_as_source(array[sample], build, i, reference) for i, array in enumerate(samples)])
        for index, layer, entry, record in _layer_results(build, records):
            if entry["source_index"] is not None:
                expected = _expected(reference, entry)
                got, known = record.against(expected)
                yield Compared(sample, index, layer, entry["name"], expected, got, known, exact)
        for i, (entry, array) in enumerate(zip(build.report["outputs"], plain or (), strict=plain is not None)):
            if entry["source_index"] is not None:
                expected, known = _expected(reference, entry), np.ones(array[sample].shape, bool)
                yield Compared(sample, None, f"model output {i}", entry["name"], expected, array[sample], known, exact)


def _layer_results(
    build: Build, records: Sequence[TraceRecord]
) -> Iterator[tuple[int, str, dict[str, Any], TraceRecord]]:
    entries = [
        (index, layer["name"], entry)
        for index, layer in enumerate(build.report["layers"])
        if layer["traced"]
        for entry in layer["outputs"]
    ]
    if [record.layer for record in records] != [index for index, *_ in entries]:
        raise ToolFailedError(
            "the trace doesn't have the layers of the report",
            where=str(build.folder),
            hint="build the model again; its code was changed",
        )
    for (index, name, entry), record in zip(entries, records, strict=True):
        yield index, name, entry, record


def _expected(reference: Reference, entry: dict[str, Any]) -> Array:
    tensor = reference.tensor(entry["source_index"])
    if entry["source_channels"] is not None:
        tensor = tensor[..., entry["source_channels"]]
    if str(tensor.dtype) != entry["dtype"]:
        raise ToolFailedError(
            "the reference's tensor has another type",
            where=entry["name"],
            why=f"{tensor.dtype} and {entry['dtype']}",
            hint="this is a bug in tinycompile; please report it",
        )
    return np.asarray(tensor.reshape(entry["shape"]), order="C")


def _as_source(array: Array, build: Build, index: int, reference: Reference) -> Array:
    """The sample as the source model takes it: with `--io int8` the firmware's int8 stands for a float."""
    t = build.inputs[index]
    wanted = reference.input_shapes()[index] if build.report["input_stream"] == "rows" else t.shape
    if tuple(wanted) != t.shape:  # rows have channels last
        array = array.reshape(t.shape).transpose(0, 3, 1, 2)
    if reference.input_types()[index] != np.float32 or t.dtype == "float32":
        return array
    return ((array.astype(np.float64) - t.zero_point) * t.scale).astype(np.float32)
