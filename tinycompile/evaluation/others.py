"""What the reference and the float model make of samples, with the runtimes that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import ModelFileError, SamplesError, UsageError
from tinycompile.evaluation.data import Labelled
from tinycompile.frontend import is_onnx
from tinycompile.frontend.onnx_file import load_proto
from tinycompile.ir import Array
from tinycompile.progress import step
from tinycompile.quantize.execution import refusals_of, session_of
from tinycompile.report.document import PARAMETERS
from tinycompile.samples import real_values
from tinycompile.verify.runtimes import litert_module
from tinycompile.verify.tensors import expected_output, reference_of


def reference_outputs(build: Build, data: Labelled) -> Array:
    """The measured output as real numbers, (samples, *shape): by the framework that defines the source model's meaning.

    Raises:
        ToolMissingError: it isn't installed. UsageError: it doesn't have what the model has learned.
    """
    if build.report["options"].get("parameters"):
        why = "it runs the model before it learned"
        raise UsageError("no reference has what this model has learned", where=str(build.folder / PARAMETERS), why=why)
    reference = reference_of(build)
    found = list[Array]()
    for i in range(len(data)):
        if i % (data.steps or len(data)) == 0:
            reference.reset()
        step(f"the reference: sample {i + 1:,} of {len(data):,}")
        judged = reference.judge([array[i] for array in data.inputs], ())
        found.append(expected_output(build, judged, data.output).values)
    values = np.stack(found)
    t = build.outputs[data.output]  # with --io int8 a model of floats has them still
    return (values if values.dtype.kind == "f" else real_values(values, t)).astype(np.float64)


def float_outputs(build: Build, data: Labelled, path: Path) -> Array:
    """The same by the float model that the build's was made from: a `.onnx` or `.tflite` file with the same inputs.

    Raises:
        ToolMissingError: onnxruntime or LiteRT isn't installed. ModelFileError: they refuse the model.
        UsageError: it has other inputs or outputs, or states.
    """
    if data.steps:
        raise UsageError("--float doesn't go with --sequence", why="the float model's states aren't known")
    run, wanted = _onnx(path) if is_onnx(path) else _tflite(path)
    if len(wanted) != len(data.reals):
        why = f"it has {len(wanted)} inputs, the build has {len(data.reals)}"
        raise UsageError("--float is another model", where=str(path), why=why)
    given = [_as_input(values, *each, path) for values, each in zip(data.reals, wanted, strict=True)]
    t, found = build.outputs[data.output], list[Array]()
    for i in range(len(data)):
        step(f"the float model: sample {i + 1:,} of {len(data):,}")
        outputs = run([values[i] for values in given])
        if data.output >= len(outputs) or outputs[data.output].size != t.elements:
            sizes = ", ".join(f"{output.size:,}" for output in outputs)
            why = f"its outputs have {sizes} values, output {data.output} of the build has {t.elements:,}"
            raise UsageError("--float is another model", where=str(path), why=why)
        found.append(_as_output(outputs[data.output], t.shape))
    return np.stack(found).astype(np.float64)


Runner = Callable[[Sequence[Array]], list[Array]]
Wanted = list[tuple[tuple[int, ...], str]]
"""Shapes and types of inputs."""

_ONNX_TYPES = {"float": "float32", "double": "float64"}
"""NumPy's names for types that are called otherwise: tensor(float)."""


def _onnx(path: Path) -> tuple[Runner, Wanted]:
    proto = load_proto(path)
    with refusals_of(str(path)):
        session = session_of(proto)
    names, wanted = list[str](), list[tuple[tuple[int, ...], str]]()
    for each in session.get_inputs():
        names.append(each.name)
        kind = each.type.removeprefix("tensor(").removesuffix(")")
        shape = tuple(size if isinstance(size, int) else 1 for size in each.shape)
        wanted.append((shape, str(_ONNX_TYPES.get(kind, kind))))

    def run(inputs: Sequence[Array]) -> list[Array]:
        try:
            return [np.asarray(each) for each in session.run(None, dict(zip(names, inputs, strict=True)))]
        except Exception as error:
            raise _refused("onnxruntime", path, error) from error

    return run, wanted


def _refused(runtime: str, path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{runtime} refuses the model", where=str(path), why=str(error)[:300])


def _tflite(path: Path) -> tuple[Runner, Wanted]:
    try:
        interpreter: Any = litert_module().Interpreter(model_content=path.read_bytes())
        interpreter.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as error:
        raise _refused("LiteRT", path, error) from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def run(given: Sequence[Array]) -> list[Array]:
        for detail, array in zip(inputs, given, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in outputs]

    return run, [(tuple(int(size) for size in each["shape"]), np.dtype(each["dtype"]).name) for each in inputs]


_CHANNELS_FIRST, _CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def _as_input(values: Array, shape: tuple[int, ...], dtype: str, path: Path) -> Array:
    """(samples, *shape) of real numbers, or of whole ones where the build has such, too: reshaped, or with channels
    where the float model has them.
    """
    own = values.shape[1:]
    if (values.dtype.kind == "f") != ("float" in dtype):
        here = "real numbers" if values.dtype.kind == "f" else values.dtype
        why = f"it has an input of {dtype}, where the build has {here}"
        raise UsageError("--float is no model of floats", where=str(path), why=why)
    given = values.astype(dtype)
    for axes in (None, _CHANNELS_FIRST, _CHANNELS_LAST):
        moved = own if axes is None else tuple(own[axis] for axis in axes) if len(own) == 4 else ()
        if moved == shape:
            return given if axes is None else given.transpose(0, *(axis + 1 for axis in axes))
    if values[0].size != np.prod(shape):
        why = f"an input has shape {shape}, the build's {own}"
        raise SamplesError("the samples don't fit the float model", where=str(path), why=why)
    return given.reshape(len(given), *shape)


def _as_output(values: Array, shape: tuple[int, ...]) -> Array:
    """With channels where the build has them."""
    if values.ndim == len(shape) == 4 and values.shape != shape:
        for axes in (_CHANNELS_FIRST, _CHANNELS_LAST):
            if tuple(values.shape[axis] for axis in axes) == shape:
                return values.transpose(axes)
    return values.reshape(shape)
