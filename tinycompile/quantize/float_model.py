"""The float model that is calibrated: an ONNX file, or a TFLite file as an ONNX model in memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinycompile.errors import FloatIslandWarning, UsageError
from tinycompile.frontend import is_onnx, load
from tinycompile.frontend.onnx import has_quantized_operators, is_quantized
from tinycompile.frontend.onnx_contrib import expand
from tinycompile.frontend.onnx_file import read_proto
from tinycompile.frontend.onnx_ml_model import has_ml
from tinycompile.quantize.as_onnx import as_onnx
from tinycompile.quantize.qdq import FLOAT


def float_model(
    path: Path, shapes: Mapping[str, tuple[int, ...]], signature: str | None = None, layout: str = "model"
) -> Any:
    """The ModelProto, with the inputs and outputs that the file has, in ONNX's own operators if these can say it.

    Args:
        shapes: of inputs with dynamic dimensions.
        signature: whose subgraph of a `.tflite` file is meant; None for the main one.
        layout: in which the model will be compiled. "nhwc" is for files whose images have channels first, as in ONNX.

    Raises:
        UsageError: the model is quantised already, gains nothing from it, or doesn't have that layout.
        ModelFileError, UnsupportedError.
    """
    where = str(path)
    if not is_onnx(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FloatIslandWarning)  # that is what calibration is to change
            if layout != "model":
                load(path, shapes, layout, signature=signature)
            return as_onnx(load(path, shapes, signature=signature), where)
    if signature is not None:
        raise UsageError("--signature is for .tflite models", where=where, why="an ONNX file has one graph")
    proto = read_proto(path)
    if has_quantized_operators(proto) or (is_quantized(proto) and not _casts_to_floats(proto)):
        raise UsageError("the model is quantised already", where=where, hint="build it without --calib")
    if has_ml(proto):
        why = "trees and linear models of ai.onnx.ml are for floats: int8 would change their answers for nothing"
        raise UsageError("the model isn't one to quantise", where=where, why=why, hint="build it without --calib")
    return expand(proto, where)


def _casts_to_floats(proto: Any) -> bool:
    """Whether integers become floats: a camera's pixels, for instance, that a model takes as they are."""
    return any(
        attribute.name == "to" and attribute.i == FLOAT
        for node in proto.graph.node
        if node.op_type == "Cast"
        for attribute in node.attribute
    )
