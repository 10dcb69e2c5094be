"""What was asked for, with constants of a model's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.backends.anomaly import Anomaly, Errors, anomaly_of
from tinycompile.backends.boxes import Boxes, boxes_of
from tinycompile.backends.request import Request
from tinycompile.backends.scores import LargestScore, TopK, scores_of
from tinycompile.backends.smoothing import Smoothing
from tinycompile.ir import TensorType

Backend = LargestScore | TopK | Smoothing | Anomaly | Boxes


def resolve(
    requests: Sequence[Request],
    inputs: Sequence[TensorType],
    outputs: Sequence[TensorType],
    errors: Errors,
    *,
    folded: bool,
) -> tuple[Backend, ...]:
    """Back ends of a model with these inputs and outputs.

    Args:
        errors: computes the errors of samples, for a limit that comes from data.
        folded: whether the model's softmax isn't computed.

    Raises:
        UsageError: an output isn't what a back end needs.
    """
    found = list[Backend]()
    for request in requests:
        if request.kind == "class":
            found.append(LargestScore(scores_of(request, outputs), folded))
        elif request.kind == "top_k":
            found.append(TopK.of(request, outputs))
        elif request.kind == "smoothing":
            found.append(Smoothing.of(request, outputs))
        elif request.kind == "boxes":
            found.append(boxes_of(request, outputs))
        else:
            found.append(anomaly_of(request, inputs, outputs, errors))
    return tuple(found)
