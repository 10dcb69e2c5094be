"""What ends a detector: which boxes stay."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.frontend.tflite_custom import CustomOptions
from tinycompile.frontend.tflite_quantization import dequantized
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import TensorType
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.detection_postprocess import DetectionPostprocess
from tinycompile.ops.non_max_suppression import NonMaxSuppression


@importer("NON_MAX_SUPPRESSION_V4", options=tflite.NonMaxSuppressionV4Options, versions=1)
@importer("NON_MAX_SUPPRESSION_V5", options=tflite.NonMaxSuppressionV5Options, versions=1)
def non_max_suppression(scope: Scope) -> None:
    """Operands: boxes, scores, number of results, threshold of the overlap and of the score, of V5 the sigma."""
    scored = scope.operator.name == "NON_MAX_SUPPRESSION_V5"
    sizes = scope.integers(2, "the number of results")
    if len(sizes) != 1:
        raise scope.fail(f"the number of results is {sizes}")
    if sizes[0] < 1:
        raise Rejected(f"the number of results is {sizes[0]}, supported is at least 1")
    overlap, least = _number(scope, 3, "the overlap threshold"), _number(scope, 4, "the score threshold")
    sigma = _number(scope, 5, "the sigma") if scored else 0.0
    if not 0 <= overlap <= 1 or sigma < 0:  # LiteRT refuses them, too
        raise scope.fail(f"an overlap threshold of {overlap} and a sigma of {sigma}")
    scope.emit_all(NonMaxSuppression(sizes[0], overlap, least, sigma, scored), [scope.input(0), scope.input(1)])


@importer("TFLite_Detection_PostProcess", versions=1)
def detection_postprocess(scope: Scope) -> None:
    """Operands: encodings, predictions, anchors, all of float32 or quantised; LiteRT dequantises them, too."""
    options = CustomOptions(scope)
    least, overlap = options.real("nms_score_threshold"), options.real("nms_iou_threshold")
    scale = [options.real(f"{name}_scale") for name in "yxhw"]
    op = DetectionPostprocess(
        most=options.integer("max_detections"),
        per_detection=options.integer("max_classes_per_detection"),
        per_class=options.integer("detections_per_class", 100),
        regular=options.flag("use_regular_nms"),
        least=least,
        overlap=overlap,
        classes=options.integer("num_classes"),
        scale=(scale[0], scale[1], scale[2], scale[3]),
    )
    options.reject_unread()
    if not 0 < overlap <= 1 or not np.isfinite([least, *scale]).all() or 0 in scale:
        raise scope.fail(f"an overlap threshold of {overlap}, a score threshold of {least}, scales of {scale}")
    types = [scope.input_type(operand).dtype for operand in (0, 2)]
    if types[0] != types[1]:  # LiteRT reads anchors as what the encodings are
        raise Rejected(f"the encodings are {types[0]} and the anchors {types[1]}")
    scope.emit_all(op, [_floats(scope, operand) for operand in range(3)])


def _floats(scope: Scope, operand: int) -> str:
    """An operand, dequantised."""
    t, name = scope.input_type(operand), scope.input(operand)
    if t.dtype == FLOAT32:
        return name
    value = scope.known(operand)
    if value is not None and t.quant is not None:
        return scope.derived(f"floats_{operand}", TensorType(t.shape, FLOAT32), dequantized(value, t.quant))
    result = scope.temporary(f"floats_{operand}", TensorType(t.shape, FLOAT32))
    scope.emit(Dequantize(), [name], result)
    return result


def _number(scope: Scope, operand: int, what: str) -> float:
    value, t = scope.constant(operand, what), scope.input_type(operand)
    if value.size != 1 or t.dtype != FLOAT32:
        raise scope.fail(f"{what} is {t}")
    return float(value.ravel()[0])
