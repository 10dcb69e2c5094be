"""`boxes`: the end of a detector, from the raw heads of an SSD or YOLO to the boxes that stay, in integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import ClassVar

import numpy as np

from tinycompile.backends.request import Request
from tinycompile.dtypes import INT8, UINT8
from tinycompile.errors import SamplesError
from tinycompile.ir import Array, TensorType
from tinycompile.samples import load_arrays

PLACE_BITS = 14
"""Of coordinates: 1 is the whole image."""

FACTOR_BITS = 16
"""Of what places and sizes of anchors are multiplied by."""

WHOLE = np.array([[0, 0, 1 << PLACE_BITS, 1 << PLACE_BITS]], np.int16)
"""The image as an anchor."""

SCORE_BITS = 15
LARGEST_FACTOR = 1 << 24
ORDERS = ("auto", "last", "first")
"""Where the values of a box are in an output."""

LIKELY_CLASSES = 128
"""So many classes there may be where so many boxes might be meant."""

STYLES = ("ssd", "yolo3", "yolo5", "decoded")
_OF_STYLES = {"scales": ("ssd",), "encodings": ("ssd",), "unit": ("decoded",), "objectness": ("decoded",)}
"""Settings that not all of them have."""


@dataclass(frozen=True)
class Places:
    """Where a box's values are in an output: value v of box i at `first` + i `box_step` + v `value_step`."""

    output: int
    first: int
    box_step: int
    value_step: int

    def of(self, outputs: Sequence[Array], boxes: int, values: int) -> Array:
        """(boxes, values) of an inference."""
        flat = outputs[self.output].reshape(-1)
        return flat[self.first + np.arange(boxes)[:, None] * self.box_step + np.arange(values) * self.value_step]


@dataclass(frozen=True, eq=False)
class Head:
    """Outputs with some of the boxes.

    Attributes:
        first, count: of its boxes among all.
        types: of the encodings, the scores and the objectness.
        place, size: int32 (2, 256), of y and x (height and width), by the number above the type's smallest.
        score, objectness: uint16 (256,).
    """

    first: int
    count: int
    encodings: Places
    scores: Places
    objects: Places | None
    types: tuple[TensorType, TensorType, TensorType]
    place: Array
    size: Array
    score: Array
    objectness: Array | None

    @property
    def one_place(self) -> bool:
        """Whether both axes have the same table of places."""
        return np.array_equal(*self.place)

    @property
    def one_size(self) -> bool:
        """Whether both axes have the same table of sizes."""
        return np.array_equal(*self.size)


@dataclass(frozen=True, eq=False)
class Boxes:
    """Coordinates have 14 fractional bits, scores 15; `>>` rounds down.

        centre = anchor's centre + (place[e] step + 2^15 >> 16)
        half a side = size[e] anchor's side + 2^16 >> 17

    of the encoding e of each axis, `step` being the anchor's side (ssd), or a cell of the grid (yolo). A box is of the
    class with the largest score s, of equals the one with the lower number; with an objectness o its score is
    s o + 2^14 >> 15. Of the boxes with a score of at least `least` the `candidates` best, of equals those with the
    lower number, are taken in this order: one stays unless it has more than `overlap` / 2^14 of their union in common
    with one of its class (of any, where `agnostic`) that stays; until there are `most`.

    Attributes:
        anchors: int16 (count, 4): y, x of the centre, height, width; None for the whole image, which is 0, 0, 1, 1.
        steps: int16 (count, 2): y, x; None for sides.
        background: a class that is none; -1 if there is no such.
    """

    kind: ClassVar[str] = "boxes"
    headers: ClassVar[tuple[str, ...]] = ("kernels/tc_box_head.h",)

    style: str
    classes: int
    anchors: Array | None
    steps: Array | None
    heads: tuple[Head, ...]
    background: int
    least: int
    overlap: int
    candidates: int
    most: int
    agnostic: bool
    said: dict[str, str] = field(default_factory=dict[str, str])

    def __call__(self, outputs: Sequence[Array]) -> list[tuple[int, ...]]:
        """(y, x, y, x, class, score) of the boxes that stay, the best first; of all outputs of one inference."""
        decoded = [each for head in self.heads for each in self._decoded(head, outputs)]
        kept = sorted((each for each in decoded if each[5] >= self.least), key=lambda each: -each[5])
        found = list[tuple[int, ...]]()
        for each in kept[: self.candidates]:
            rivals = (other for other in found if self.agnostic or other[4] == each[4])
            if len(found) < self.most and not any(self._overlap(each, other) for other in rivals):
                found.append(each)
        return found

    def _decoded(self, head: Head, outputs: Sequence[Array]) -> list[tuple[int, ...]]:
        """The same of all boxes of a head, in their order."""
        scores = head.scores.of(outputs, head.count, self.classes).astype(np.int64) - head.types[1].dtype.range[0]
        wanted = scores.copy()
        if self.background >= 0:
            wanted[:, self.background] = -1
        best = wanted.argmax(axis=1)
        score = head.score[scores[np.arange(head.count), best]].astype(np.int64)
        if head.objects is not None and head.objectness is not None:
            objects = head.objects.of(outputs, head.count, 1)[:, 0].astype(np.int64) - head.types[2].dtype.range[0]
            score = score * head.objectness[objects] + (1 << (SCORE_BITS - 1)) >> SCORE_BITS
        columns = [*self._sides(head, outputs), best, score]
        return [tuple(map(int, row)) for row in np.stack(columns, axis=1)]

    def _sides(self, head: Head, outputs: Sequence[Array]) -> list[Array]:
        """y, x of the upper left, y, x of the lower right."""
        codes = head.encodings.of(outputs, head.count, 4).astype(np.int64) - head.types[0].dtype.range[0]
        order = (0, 1, 2, 3) if self.style == "ssd" else (1, 0, 3, 2)  # y, x, height, width
        rows = slice(head.first, head.first + head.count)
        anchors = (WHOLE if self.anchors is None else self.anchors[rows]).astype(np.int64)
        steps = anchors[:, 2:] if self.steps is None else self.steps[rows].astype(np.int64)
        centres, halves = list[Array](), list[Array]()
        for axis in (0, 1):
            place, size = (codes[:, order[i]] for i in (axis, 2 + axis))
            moved = head.place[axis][place].astype(np.int64) * steps[:, axis] + (1 << (FACTOR_BITS - 1)) >> FACTOR_BITS
            centres.append(anchors[:, axis] + moved)
            halves.append(head.size[axis][size].astype(np.int64) * anchors[:, 2 + axis] + (1 << FACTOR_BITS) >> 17)
        return [c + sign * h for sign in (-1, 1) for c, h in zip(centres, halves, strict=True)]

    def _overlap(self, a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        common = [max(0, min(a[2 + i], b[2 + i]) - max(a[i], b[i])) for i in (0, 1)]
        shared = common[0] * common[1]
        areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        return shared << PLACE_BITS > self.overlap * (sum(areas) - shared)


def boxes_of(request: Request, outputs: Sequence[TensorType]) -> Boxes:
    """By a file of anchors: `anchors` (boxes, 4): y, x of the centre, height and width, 1 being the whole image; of
    yolo the centre is the upper left corner of the cell, and `steps` (boxes, 2) or (2,) its height and width.

    Raises:
        UsageError: outputs don't fit the anchors, or aren't of 8 bits.
        SamplesError: anchors are missing or no such numbers.
    """
    style = request.word("style", STYLES)
    for key, styles in _OF_STYLES.items():
        if key in request.settings and style not in styles:
            raise request.fail(f"{key} is for style={' or '.join(styles)}", why=f"the style is {style}")
    anchors, steps = _anchors(request, style)
    found = _heads(request, outputs, 0 if anchors is None else len(anchors), style)
    classes = found[0].values - found[0].before
    background = request.whole("background", -1, -1, classes - 1)
    if classes == 1 and background == 0:
        raise request.fail("background=0", why="there is no other class")
    candidates = request.whole("candidates", 64, 1, 4096)
    return Boxes(
        style=style,
        classes=classes,
        anchors=anchors,
        steps=steps,
        heads=tuple(_head(request, style, outputs, each) for each in found),
        background=background,
        least=ceil(request.real("score", "0.5", 0, 1) * (1 << SCORE_BITS)),
        overlap=floor(request.real("overlap", "0.5", 0, 1) * (1 << PLACE_BITS)),
        candidates=candidates,
        most=request.whole("most", min(10, candidates), 1, candidates),
        agnostic=request.word("across", ("class", "all")) == "all",
        said={"score": request.settings.get("score", "0.5"), "overlap": request.settings.get("overlap", "0.5")},
    )


def _anchors(request: Request, style: str) -> tuple[Array | None, Array | None]:
    """(anchors, steps) of the file."""
    path = request.path("anchors")
    if style == "decoded":
        if path is not None:
            raise request.fail("anchors are for encoded boxes", hint="style=ssd, yolo3 or yolo5")
        return None, None
    if path is None:
        raise request.fail("anchors are missing", hint="anchors=anchors.npz, with an array `anchors` (boxes, 4)")
    arrays = load_arrays(path)
    anchors = _fixed(arrays, "anchors", 4, str(path))
    if style == "ssd":
        return anchors, None
    steps = _fixed(arrays, "steps", 2, str(path))
    if len(steps) not in (1, len(anchors)):
        raise SamplesError("steps are neither one for all anchors nor one for each", where=str(path))
    return anchors, np.broadcast_to(steps, (len(anchors), 2))


def _fixed(arrays: dict[str, Array], name: str, columns: int, where: str) -> Array:
    """Numbers of a file with 14 fractional bits: int16 (rows, columns)."""
    if name not in arrays:
        raise SamplesError(f"{name} are missing", where=where, why=f"the file holds: {', '.join(arrays)}")
    found = np.atleast_2d(arrays[name])
    if found.dtype.kind not in "fiu" or found.ndim != 2 or found.shape[1] != columns or not len(found):
        raise SamplesError(f"{name} is {found.dtype} of shape {found.shape}", where=where, hint=f"(boxes, {columns})")
    if not np.all(np.abs(found.astype(np.float64)) < 2) or (columns == 4 and found[:, 2:].min() < 0):
        raise SamplesError(
            f"{name} aren't in units of the image", where=where, hint="1 is the whole image; from -2 to 2"
        )
    return np.round(found.astype(np.float64) * (1 << PLACE_BITS)).clip(-(2**15), 2**15 - 1).astype(np.int16)


@dataclass(frozen=True)
class _Pair:
    """Attributes: encodings, scores: numbers of outputs, which may be one. values: of a box in the scores' output, the
    classes' behind `before` others.
    """

    first: int
    count: int
    encodings: int
    scores: int
    values: int
    before: int


def _heads(request: Request, outputs: Sequence[TensorType], boxes: int, style: str) -> list[_Pair]:
    """Which outputs are heads, that have all boxes together."""
    sizes = [t.elements for t in outputs]
    scores = request.numbers("scores")
    if any(not 0 <= number < len(outputs) for number in (*scores, *request.numbers("encodings"))):
        raise request.fail("there is no such output", why=f"outputs are 0 to {len(outputs) - 1}")
    before = (
        0 if style == "ssd" else 5 if style != "decoded" or request.word("objectness", ("no", "yes")) == "yes" else 4
    )
    if style == "decoded":
        scores = encodings = scores or (0,)
        sides = [_boxes_and_values(request, outputs[number], before) for number in scores]
        values = sides[0][1]
        if any(each[1] != values for each in sides) or values <= before:
            raise _undecoded(request, outputs, before)
        counts = [each[0] for each in sides]
    elif style != "ssd":
        scores = scores or tuple(range(len(outputs)))
        values, rest = divmod(sum(sizes[number] for number in scores), boxes)
        encodings = scores
        if rest or values < 6 or any(sizes[number] % values for number in scores):
            raise _unfitting(request, outputs, boxes, "5 values of a box and its classes'")
        counts = [sizes[number] // values for number in scores]
    else:
        encodings = request.numbers("encodings") or tuple(i for i, size in enumerate(sizes) if size == 4 * boxes)[:1]
        others = tuple(i for i, size in enumerate(sizes) if i not in encodings and size % boxes == 0)[:1]
        scores = scores or others
        counts = [sizes[number] // 4 for number in encodings]
        values, rest = divmod(sum(sizes[number] for number in scores), boxes)
        pairs = list(zip(counts, scores, strict=False))
        wrong = any(sizes[number] != count * values for count, number in pairs) or 4 * sum(counts) != 4 * boxes
        if not encodings or len(encodings) != len(scores) or rest or values < 1 or wrong:
            raise _unfitting(request, outputs, boxes, "4 encodings of each and scores of its classes")
    firsts = [sum(counts[:i]) for i in range(len(counts))]
    return [_Pair(*row, values, before) for row in zip(firsts, counts, encodings, scores, strict=True)]


def _boxes_and_values(request: Request, t: TensorType, before: int) -> tuple[int, int]:
    """(boxes, values of each) of an output of decoded boxes, the smaller number being that of values. Raises UsageError
    where both might be, by the classes that there would be.
    """
    real, order = [size for size in t.shape if size != 1], request.word("values", ORDERS)
    if len(real) != 2:
        raise _undecoded(request, [t], before)
    if order == "auto" and (max(real) - before <= LIKELY_CLASSES or real[0] == real[1]):
        raise _open(request, str(t))
    few, many = sorted(real)
    values = {"auto": few, "first": real[0], "last": real[1]}[order]
    return few + many - values, values


def _open(request: Request, found: str) -> Exception:
    return request.fail(
        "boxes or their values may come first in an output",
        why=found,
        hint="values=last for (1, boxes, values), values=first for (1, values, boxes)",
    )


def _undecoded(request: Request, outputs: Sequence[TensorType], before: int) -> Exception:
    wanted = f"(1, boxes, {before} + classes) or (1, {before} + classes, boxes)"
    return request.fail(f"its outputs are {wanted}", why=f"{'; '.join(map(str, outputs))}")


def _head(request: Request, style: str, outputs: Sequence[TensorType], pair: _Pair) -> Head:
    coded, marked = outputs[pair.encodings], outputs[pair.scores]
    for number, t in ((pair.encodings, coded), (pair.scores, marked)):
        if t.dtype not in (INT8, UINT8) or t.quant is None:
            hint = "--io int8, where the model is quantised"
            raise request.fail("it needs heads of 8 bits", why=f"output {number} is {t}", hint=hint)
    box, value = _steps(request, pair.scores, marked, pair.count)
    raw = style in ("yolo3", "yolo5")
    activation = request.word("activation", ("sigmoid", "none") if raw else ("none", "sigmoid"))
    score = _score_table(marked, _sigmoid if activation == "sigmoid" else _same)
    place, size = _factors(request, style, coded)
    if style == "ssd":
        encodings = Places(pair.encodings, 0, *_steps(request, pair.encodings, coded, pair.count))
        objects, scores = None, Places(pair.scores, 0, box, value)
    else:
        encodings, objects, scores = (Places(pair.scores, i * value, box, value) for i in (0, 4, pair.before))
        objects = objects if pair.before == 5 else None
    types, objectness = (coded, marked, marked), None if objects is None else score
    return Head(pair.first, pair.count, encodings, scores, objects, types, place, size, score, objectness)


def _steps(request: Request, number: int, t: TensorType, boxes: int) -> tuple[int, int]:
    """(box_step, value_step): of (1, boxes, values), (1, rows, columns, anchors values) or (1, values, boxes)."""
    values, real = t.elements // boxes, [size for size in t.shape if size != 1]
    order = request.word("values", ORDERS)
    if real == [values, boxes] == [boxes, values] and order == "auto":
        raise _open(request, f"output {number} is {t}")
    if real == [values, boxes] and (values != boxes or order == "first"):
        return 1, boxes
    if not real or real[-1] % values == 0:
        return values, 1
    raise request.fail(
        f"output {number} has shape {t.shape}", why=f"{boxes} boxes of {values} values", hint="--layout nhwc"
    )


def _unfitting(request: Request, outputs: Sequence[TensorType], boxes: int, wanted: str) -> Exception:
    found = "; ".join(map(str, outputs))
    return request.fail(f"no outputs have {wanted}", why=f"there are {boxes} anchors; outputs are: {found}")


def _factors(request: Request, style: str, t: TensorType) -> tuple[Array, Array]:
    """Tables of places and sizes, (2, 256) each."""
    if style == "ssd":
        scales = request.settings.get("scales", "10:10:5:5").split(":")
        try:
            y, x, height, width = (float(Fraction(scale)) for scale in scales)
        except (ValueError, ZeroDivisionError):
            hint = "of y, x, height and width, such as 10:10:5:5"
            raise request.fail(f"scales={':'.join(scales)}", hint=hint) from None
        if min(y, x, height, width) <= 0:
            raise request.fail(f"scales={':'.join(scales)}", hint="they are positive")
        places = [_table(t, lambda real, by=by: real / by) for by in (y, x)]
        sizes = [_table(t, lambda real, by=by: np.exp(np.minimum(real / by, 20))) for by in (height, width)]
    elif style == "decoded":
        unit = float(request.real("unit", "1", 1e-6, 1e6))
        places = sizes = [_table(t, lambda real: real / unit)] * 2
        sizes = [np.maximum(table, 0) for table in sizes]
    elif style == "yolo3":
        places, sizes = [_table(t, _sigmoid)] * 2, [_table(t, lambda real: np.exp(np.minimum(real, 20)))] * 2
    else:
        places = [_table(t, lambda real: 2 * _sigmoid(real) - 0.5)] * 2
        sizes = [_table(t, lambda real: np.square(2 * _sigmoid(real)))] * 2
    return np.stack(places), np.stack(sizes)


def _reals(t: TensorType) -> Array:
    """What the 256 numbers of a type stand for, the smallest first."""
    low, high = t.dtype.range
    return (np.arange(low, high + 1) - t.zero_point) * float(np.float32(t.scale))


def _table(t: TensorType, function: Callable[[Array], Array]) -> Array:
    scaled = np.round(function(_reals(t)) * (1 << FACTOR_BITS))
    return np.clip(scaled, -LARGEST_FACTOR, LARGEST_FACTOR).astype(np.int32)


def _score_table(t: TensorType, squash: Callable[[Array], Array]) -> Array:
    return np.round(np.clip(squash(_reals(t)), 0, 1) * (1 << SCORE_BITS)).astype(np.uint16)


def _sigmoid(real: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(real, -700, 700)))


def _same(real: Array) -> Array:
    return real
