"""`verify`: the firmware against the reference, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.emulator import TraceRecord
from tinycompile.ir import Array
from tinycompile.report.document import update_report
from tinycompile.verify.litert import LiteRtReference
from tinycompile.verify.onnx import OnnxReference


@dataclass(frozen=True, eq=False)
class Difference:
    """The first deviation in execution order."""

    sample: int
    layer: str
    tensor: str
    index: tuple[int, ...]
    expected: float
    got: float
    count: int
    size: int

    def describe(self) -> str:
        return (
            f"sample {self.sample}, layer {self.layer!r}, tensor {self.tensor!r}: {self.count} of {self.size} values "
            f"differ, first at {list(self.index)}: expected {self.expected}, got {self.got}"
        )


@dataclass(frozen=True, eq=False)
class Verification:
    """The result of `verify`."""

    samples: int
    tensors: int
    values: int
    skipped: tuple[str, ...]
    difference: Difference | None


def verify_build(build: Build, samples: Sequence[Array]) -> Verification:
    """Run every sample in QEMU and by the reference; compare outputs and all layers that exist in the source model.

    The plain firmware's outputs are compared too, since it is what gets flashed; the layers come from
    the trace build. Records `verify` in the report.

    Raises:
        ToolMissingError: QEMU or LiteRT isn't installed.
    """
    reference = reference_of(build)
    plain, traced = build.execute(samples), build.trace(samples)
    difference, tensors, values = None, 0, 0
    exact = not any(layer["op"].startswith("float_") for layer in build.report["layers"])
    entries = [
        (index, layer["name"], entry)
        for index, layer in enumerate(build.report["layers"])
        if layer["traced"]
        for entry in layer["outputs"]
    ]
    skipped = tuple(
        entry["name"]
        for layer in build.report["layers"]
        for entry in layer["outputs"]
        if entry["source_index"] is None or not layer["traced"]
    )
    for sample, records in enumerate(traced.trace):
        reference.run([_as_source(array[sample], build, i, reference) for i, array in enumerate(samples)])
        results = [*_layer_results(entries, records), *_model_outputs(build, plain.outputs, sample)]
        for layer, entry, got in results:
            if entry["source_index"] is None:
                continue
            expected = _expected(reference, entry, got)
            tensors, values = tensors + 1, values + got.size
            if difference is None and not _same(expected, got, exact):
                difference = _first_difference(sample, layer, entry["name"], expected, got)
    result = Verification(len(samples[0]), tensors, values, skipped, difference)
    _record(build, result)
    return result


Reference = LiteRtReference | OnnxReference


def reference_of(build: Build) -> Reference:
    """What defines the meaning of the build's source model."""
    if build.source.suffix.lower() != ".onnx":
        return LiteRtReference(build.source)
    options = build.report["options"]
    shapes = {name: tuple(shape) for name, shape in options.get("shapes", {}).items()}
    return OnnxReference(build.source, shapes, options.get("layout", "model"), options.get("floats", "none"))


def _layer_results(
    entries: Sequence[tuple[int, str, dict[str, Any]]], records: Sequence[TraceRecord]
) -> list[tuple[str, dict[str, Any], Array]]:
    results = list[tuple[str, dict[str, Any], Array]]()
    for (index, layer, entry), record in zip(entries, records, strict=True):
        if record.layer != index:
            raise ValueError(f"the trace reports layer {record.layer} where {index} was expected")
        results.append((layer, entry, np.frombuffer(record.data, entry["dtype"]).reshape(entry["shape"])))
    return results


def _model_outputs(build: Build, outputs: Sequence[Array], sample: int) -> list[tuple[str, dict[str, Any], Array]]:
    return [
        (f"model output {i}", entry, array[sample])
        for i, (entry, array) in enumerate(zip(build.report["outputs"], outputs, strict=True))
    ]


def _expected(reference: Reference, entry: dict[str, Any], got: Array) -> Array:
    tensor = reference.tensor(entry["source_index"])
    if entry["source_channels"] is not None:
        tensor = tensor[..., entry["source_channels"]]
    return tensor.reshape(got.shape)


def _as_source(array: Array, build: Build, index: int, reference: Reference) -> Array:
    """The sample as the source model takes it: with `--io int8` the firmware's int8 stands for a float."""
    t = build.inputs[index]
    wanted = reference.input_shapes()[index] if build.report["input_stream"] == "rows" else t.shape
    if tuple(wanted) != t.shape:  # rows have channels last
        array = array.reshape(t.shape).transpose(0, 3, 1, 2)
    if reference.input_types()[index] != np.float32 or t.dtype == "float32":
        return array
    return ((array.astype(np.float64) - t.zero_point) * t.scale).astype(np.float32)


def _same(expected: Array, got: Array, exact: bool) -> bool:
    """Bit for bit; sums of floats, whose order nobody defines, within 1e-4 of the largest."""
    if not exact and expected.dtype == got.dtype == np.float32:
        return bool(np.all(np.abs(expected - got) <= 1e-4 * max(1e-30, float(np.abs(expected).max(initial=0)))))
    return expected.dtype == got.dtype and expected.tobytes() == got.tobytes()


def _first_difference(sample: int, layer: str, tensor: str, expected: Array, got: Array) -> Difference:
    differing = np.argwhere(expected != got)
    index = tuple(int(i) for i in differing[0]) if len(differing) else ()
    return Difference(sample, layer, tensor, index, float(expected[index]), float(got[index]), len(differing), got.size)


def _record(build: Build, result: Verification) -> None:
    build.report["verify"] = {
        "reference": "LiteRT BUILTIN_REF" if build.source.suffix.lower() == ".tflite" else "ONNX, exact sums",
        "samples": result.samples,
        "tensors_compared": result.tensors,
        "values_compared": result.values,
        "not_in_source": list(result.skipped),
        "first_difference": None if result.difference is None else result.difference.describe(),
    }
    update_report(build.folder, build.report)
