"""What ends a detector of the SSD kind: boxes from anchors, and which of them stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._boxes import overlaps, settle
from tinycompile.ops._rules import first_reason, wrong_dtype

Detection = tuple[int, int]
"""Box, class."""


@dataclass(frozen=True)
class DetectionPostprocess(Op):
    """TFLite_Detection_PostProcess of float32, or of int8 and uint8, which are dequantised; by regular and by fast
    suppression. Boxes, classes, scores and how many count; the rest is 0.

    Operands: encodings (1, N, 4) of y, x, height, width; predictions (1, N, classes), perhaps with one more class in
    front; anchors (N, 4).

    Attributes:
        most: detections. per_detection: classes of each, by fast suppression. per_class: boxes, by regular suppression.
        regular: suppression within each class; otherwise the boxes with the best class of each.
        least: the lowest score that counts. overlap: intersection over union above which a box goes.
        classes: without the background.
        scale: what the encodings of y, x, height and width are divided by.
    """

    kind: ClassVar[str] = "detection_postprocess"

    most: int
    per_detection: int
    per_class: int
    regular: bool
    least: float
    overlap: float
    classes: int
    scale: tuple[float, float, float, float]

    @property
    def rows(self) -> int:
        """Of the results."""
        return self.most * self.per_detection

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        encodings, predictions, anchors = (t.shape for t in inputs)
        boxes = encodings[1] if len(encodings) == 3 else 0
        wrong = encodings != (1, boxes, 4) or anchors != (boxes, 4) or len(predictions) != 3
        if wrong or predictions[:2] != (1, boxes) or predictions[2] - self.classes not in (0, 1) or not boxes:
            raise ValueError(f"encodings {inputs[0]}, {self.classes} classes of {inputs[1]}, anchors {inputs[2]}")
        if min(self.most, self.per_detection, self.per_class, self.classes) < 1:
            raise ValueError(f"{self.most} detections of {self.per_detection} of {self.classes} classes")
        return tuple((shape, FLOAT32) for shape in ((1, self.rows, 4), (1, self.rows), (1, self.rows), (1,)))

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        boxes, scores = self._decoded(inputs[0][0], inputs[2]), inputs[1][0, :, -self.classes :]
        results = tuple(np.zeros(t.shape, np.float32) for t in sig.outputs)
        found, apart = self._by_class(boxes, scores) if self.regular else self._by_box(boxes, scores)
        for row, (box, class_) in found:
            results[0][0, row], results[1][0, row], results[2][0, row] = boxes[box], class_, scores[box, class_]
        results[3][0] = len(found) // apart
        return results

    def _decoded(self, encodings: Array, anchors: Array) -> Array:
        """float32 (N, 4): y and x of two corners (`DecodeCenterSizeBoxes`)."""
        wide, anchor = encodings.astype(np.float64), anchors.astype(np.float64)
        steps = np.array(self.scale, np.float32).astype(np.float64)
        with np.errstate(all="ignore"):
            centre = (wide[:, :2] / steps[:2] * anchor[:, 2:] + anchor[:, :2]).astype(np.float32)
            half = (0.5 * np.exp(wide[:, 2:] / steps[2:]) * anchor[:, 2:]).astype(np.float32)
            return np.concatenate([centre - half, centre + half], axis=1)

    def _selected(self, boxes: Array, scores: Array, most: int) -> list[int]:
        """`NonMaxSuppressionSingleClassHelper`: the best first, the first of equals first."""
        order = np.flatnonzero(scores >= np.float32(self.least))
        order = order[np.argsort(-scores[order], kind="stable")]
        found = list[int]()
        while order.size and len(found) < most:
            found.append(int(order[0]))
            goes = overlaps(boxes, found[-1], order[1:]) > np.float32(self.overlap)
            order = order[1:][~goes]
        return found

    def _by_class(self, boxes: Array, scores: Array) -> tuple[list[tuple[int, Detection]], int]:
        """(rows with their detections, rows of a detection): the best of all classes, the first of equals first."""
        found = list[Detection]()
        for class_ in range(self.classes):
            found += [(box, class_) for box in self._selected(boxes, scores[:, class_], self.per_class)]
            found = sorted(found, key=lambda at: -float(scores[at]))[: self.most]
        return list(enumerate(found)), 1

    def _by_box(self, boxes: Array, scores: Array) -> tuple[list[tuple[int, Detection]], int]:
        count = min(self.per_detection, self.classes)
        found = list[tuple[int, Detection]]()
        for number, box in enumerate(self._selected(boxes, scores.max(axis=1), self.most)):
            best = best_classes(scores[box], count)
            found += [(number * self.per_detection + i, (box, class_)) for i, class_ in enumerate(best)]
        return found, count

    def unsupported(self, sig: Signature) -> str | None:
        names = ("the tensor of encodings", "the tensor of predictions", "the tensor of anchors")
        return first_reason(wrong_dtype(t, name, FLOAT32) for t, name in zip(sig.inputs, names, strict=True))


def best_classes(scores: Array, count: int) -> list[int]:
    """The classes of the highest scores: the first of equals, or if there are several in the order of libstdc++'s
    `partial_sort`, which LiteRT is built with.
    """
    if count == 1:
        return [int(scores.argmax())]
    order = list(range(scores.size))

    def after(a: int, b: int) -> bool:
        return bool(scores[a] > scores[b])

    for hole in reversed(range(count // 2)):
        settle(order, hole, count, order[hole], after)
    for i in range(count, len(order)):
        if after(order[i], order[0]):
            _replace_first(order, i, count, after)
    for last in range(count - 1, 0, -1):
        _replace_first(order, last, last, after)
    return order[:count]


def _replace_first(order: list[int], place: int, count: int, after: Callable[[int, int], bool]) -> None:
    """Swaps the root of a heap of `count` entries for what lies behind it at `place`."""
    value, order[place] = order[place], order[0]
    settle(order, 0, count, value, after)
