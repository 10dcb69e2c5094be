"""What ends a detector: which boxes stay."""

from __future__ import annotations

from tinycompile.dtypes import FLOAT32
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
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


def _number(scope: Scope, operand: int, what: str) -> float:
    value, t = scope.constant(operand, what), scope.input_type(operand)
    if value.size != 1 or t.dtype != FLOAT32:
        raise scope.fail(f"{what} is {t}")
    return float(value.ravel()[0])
