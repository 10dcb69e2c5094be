"""The option models again, on elements of other types: what an operator is imported with, found by importing it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import tflite

from tests.frontend.option_models import MODELS, TYPED, OptionModel
from tests.support.tflite_builder import TYPES, TensorSpec
from tinycompile.errors import TinycompileError
from tinycompile.frontend.tflite import import_tflite

COLUMNS = ("int8", "int16", "float32")
"""What the supported operators are listed by."""

NAMES = {number: name for name, number in TYPES.items()}
_OPERATORS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
_WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1, "CONV_3D": 1}
"""Operand of these that stays int8 where activations are int16; the bias follows the activations."""

Quantization = tuple[float, int] | None
_QUANTIZATIONS: dict[str, list[tuple[Quantization, Quantization]]] = {
    "int8": [(None, None), ((0.25, -3), (0.25, -3)), ((0.25, 0), (0.25, 0))],
    "int16": [((0.001, 0), (0.001, 0)), ((0.001, 0), (1 / 32768, 0))],
    "float32": [(None, None)],
}
"""(scale, zero point) of operands and results to try; None leaves what is there."""

_CAST_FIELDS = ("InDataType", "OutDataType")


@cache
def typed_model(name: str, dtype: str) -> OptionModel | None:
    """A model around the operator on elements of a type that is imported; None if the operator doesn't take them."""
    for model in _attempts(name, dtype):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                graph = import_tflite(model.build(), "m", "m.tflite")
        except TinycompileError:
            continue
        numbers = {*model.op.inputs, *model.op.outputs}
        if any(t.dtype.name == dtype for n, t in graph.types.items() if _source(graph, n) in numbers):
            return model
    return None


def _source(graph: Any, name: str) -> int | None:
    return graph.sources[name].index if name in graph.sources else None


def _attempts(name: str, dtype: str) -> Iterator[OptionModel]:
    """Which tensors are elements and which are indices isn't known: all are tried that have the same type."""
    if name in TYPED:
        yield TYPED[name](dtype)  # which the importer may refuse
        return
    for own in sorted({*_element_types(MODELS[name]())}):
        for results in (slice(None), slice(0, 1), slice(0, 0)):
            for x, y in _QUANTIZATIONS[dtype]:
                yield _retyped(MODELS[name](), own, dtype, x, y, results)


def _element_types(model: OptionModel) -> Iterator[str]:
    """Of what could be activations."""
    tensors = model.builder.tensors
    for index in (*model.op.inputs, *model.op.outputs):
        kind = NAMES[tensors[index].dtype]
        if tensors[index].data is None or kind in ("int8", "float32"):
            yield kind


def _retyped(
    model: OptionModel,
    own: str,
    dtype: str,
    x: Quantization,
    y: Quantization,
    results: slice,
) -> OptionModel:
    """The model with its operands and some of its results of type `own` as `dtype`."""
    tensors, op = model.builder.tensors, model.op
    name, changed = _OPERATORS[op.code], list(op.outputs)[results]
    weights = _WEIGHTS.get(name)
    for place, index in enumerate(op.inputs):
        t = tensors[index]
        if NAMES[t.dtype] == own and (t.data is None or own in ("int8", "float32")):
            if place != weights or dtype == "float32":
                _retype(t, dtype, x)
        elif weights is not None and NAMES[t.dtype] == "int32" and t.scale is not None:
            _retype(t, {"int16": "int64", "float32": "float32"}.get(dtype, "int32"), None)
            t.scale = None if dtype == "float32" else [x[0] * 0.01 if x else 0.0025]
    for index in changed:
        if NAMES[tensors[index].dtype] == own:
            _retype(tensors[index], dtype, y)
    for field, index in zip(_CAST_FIELDS, (op.inputs[0], op.outputs[0]), strict=True):
        if field in op.fields:
            op.fields[field] = tensors[index].dtype
    types = [NAMES[tensors[index].dtype] for index in model.places]
    model.inputs = [_values(array, kind) for array, kind in zip(model.inputs, types, strict=True)]
    return model


def _retype(t: TensorSpec, dtype: str, quantization: Quantization) -> None:
    if t.data is not None:
        old = np.frombuffer(t.data, NAMES[t.dtype])
        t.data = _values(old, dtype).tobytes()
    t.dtype = TYPES[dtype]
    if dtype == "float32":
        t.scale = t.zero_point = None
    elif quantization is not None:
        t.scale, t.zero_point = [quantization[0]], [quantization[1]]
    elif t.scale is None and dtype == "int8":
        t.scale, t.zero_point = [0.25], [-3]


def _values(array: np.ndarray, dtype: str) -> np.ndarray:
    """The same samples in another type: int8 spread over the range of int16, floats small."""
    if dtype == array.dtype.name:
        return array
    if dtype == "int16" and array.dtype == np.int8:
        return (array.astype(np.int16) * 256 + 37).astype(np.int16)
    if dtype == "float32" and array.dtype == np.int8:
        return (array / np.float32(32)).astype(np.float32)
    return array.astype(dtype)


def operators() -> Sequence[str]:
    """Names of the option models, one for each operator that has elements of some type."""
    return [name for name in MODELS if " " not in name]
