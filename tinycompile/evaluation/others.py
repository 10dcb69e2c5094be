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
from tinycompile.quantize.execution import session_of
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
    run, shapes = _onnx(path) if is_onnx(path) else _tflite(path)
    if len(shapes) != len(data.reals):
        why = f"it has {len(shapes)} inputs, the build has {len(data.reals)}"
        raise UsageError("--float is another model", where=str(path), why=why)
    given = [_as_input(values, shape, path) for values, shape in zip(data.reals, shapes, strict=True)]
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


def _onnx(path: Path) -> tuple[Runner, list[tuple[int, ...]]]:
    session = session_of(load_proto(path))
    names = [each.name for each in session.get_inputs()]
    shapes = [tuple(size if isinstance(size, int) else 1 for size in each.shape) for each in session.get_inputs()]

    def run(inputs: Sequence[Array]) -> list[Array]:
        return [np.asarray(each) for each in session.run(None, dict(zip(names, inputs, strict=True)))]

    return run, shapes


def _tflite(path: Path) -> tuple[Runner, list[tuple[int, ...]]]:
    try:
        interpreter: Any = litert_module().Interpreter(model_content=path.read_bytes())
        interpreter.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFileError("LiteRT refuses the model", where=str(path), why=str(error)[:300]) from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    other = next((each for each in inputs if each["dtype"] != np.float32), None)
    if other is not None:
        why = f"its input {other['name']} is {np.dtype(other['dtype']).name}"
        raise UsageError("--float is no model of floats", where=str(path), why=why)

    def run(given: Sequence[Array]) -> list[Array]:
        for detail, array in zip(inputs, given, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in outputs]

    return run, [tuple(int(size) for size in each["shape"]) for each in inputs]


_CHANNELS_FIRST, _CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def _as_input(values: Array, shape: tuple[int, ...], path: Path) -> Array:
    """(samples, *shape) of real numbers: reshaped, or with channels where the float model has them."""
    own = values.shape[1:]
    given = values.astype(np.float32) if values.dtype.kind == "f" else values
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
