"""Operators without a definition in onnx's schemas, as simpler ones: one function per operator, by the operator's text.

Each sees static shapes, as far as they are known, and constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_evaluate import evaluate_node
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_rewrite import Rewriting, rewritten
from tinycompile.frontend.onnx_untrusted import array_of
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array

Shape = tuple[int, ...]

_LONGEST_CHAIN = 8
"""Nodes between constants and an operand that has to be one."""

_RANDOM = ("Random", "Multinomial", "Bernoulli")

_MOST_COMPUTED = 1 << 20
"""Elements of such an operand."""


class Definition(Rewriting):
    """Of a node in a model."""

    def __init__(
        self, node: Any, taken: set[str], shapes: Mapping[str, Shape | None], types: Mapping[str, str], model: Any
    ) -> None:
        super().__init__(node, taken)
        self._shapes, self._types, self.model = shapes, types, model

    @property
    def opset(self) -> int:
        return max(o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx"))

    def has(self, operand: int) -> bool:
        return operand < len(self.node.input) and self.node.input[operand] != ""

    def shape(self, operand: int = 0) -> Shape:
        found = self._shapes.get(self.node.input[operand])
        if found is None:
            raise Rejected(f"the shape of operand {operand} is dynamic, supported are static ones")
        return found

    def shape_of(self, name: str) -> Shape:
        """Of any value."""
        found = self._shapes.get(name)
        if found is None:
            raise Rejected("the shape of its result is dynamic, supported are static ones")
        return found

    def dtype(self, operand: int = 0) -> np.dtype[Any]:
        """Of an operand's elements."""
        name = self.node.input[operand]
        for initializer in self.model.graph.initializer:
            if initializer.name == name:
                return np.dtype(onnx_module().helper.tensor_dtype_to_np_dtype(initializer.data_type))
        found = self._types.get(name, "unknown")
        if found in ("unknown", "object"):
            raise Rejected(f"the type of operand {operand} is {'text' if found == 'object' else found}")
        return np.dtype(found)

    def known(self, operand: int, what: str) -> Array:
        """A constant operand, or one that is computed of constants: a window."""
        found = self._constant(self.node.input[operand], _LONGEST_CHAIN)
        if found is None:
            raise Rejected(f"{what} is computed at run time, supported is a constant")
        return found

    def _constant(self, name: str, nodes: int) -> Array | None:
        """The value of this name, if it comes from constants through at most so many nodes."""
        name = self._copied_from(name)
        for initializer in self.model.graph.initializer:
            if initializer.name == name:
                return array_of(initializer, "")
        maker = next((node for node in self.model.graph.node if name in node.output), None)
        if maker is None:
            return None
        if maker.op_type == "Constant":
            return next((array_of(each.t, "") for each in maker.attribute if each.name == "value"), None)
        shape = self._shapes.get(name)
        if nodes < 1 or shape is None or prod(shape) > _MOST_COMPUTED or maker.domain not in ("", "ai.onnx"):
            return None
        if any(each.type in (5, 10) for each in maker.attribute) or maker.op_type.startswith(_RANDOM):  # graphs
            return None
        operands = {each: self._constant(each, nodes - 1) for each in maker.input if each}
        if not operands or any(value is None for value in operands.values()):
            return None
        given = {each: value for each, value in operands.items() if value is not None}
        return evaluate_node(maker, given, self.opset)[list(maker.output).index(name)]

    def _copied_from(self, name: str) -> str:
        """The value of which Identity makes one: PyTorch stores equal weights once, and copies them."""
        copies = {node.output[0]: node.input[0] for node in self.model.graph.node if node.op_type == "Identity"}
        while name in copies:
            name = copies[name]
        return name

    def axis(self, value: int, operand: int = 0) -> int:
        """A number of an axis, counted from the front."""
        rank = len(self.shape(operand))
        if not -rank <= value < rank:
            raise Rejected(f"{value} is no axis of {list(self.shape(operand))}")
        return value % rank

    def like(self, stem: str, value: Any, operand: int = 0) -> str:
        """A constant of the type of an operand."""
        return self.constant(stem, value, self.dtype(operand))

    def indices(self, stem: str, values: int | Sequence[int] | Array) -> str:
        return self.constant(stem, values, np.int64)


class Steps:
    """Nodes one after the other, of which the last one has the node's result."""

    def __init__(self, step: Definition) -> None:
        self._step, self.nodes = step, list[Any]()

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = self._step.name(f"{kind.lower()}_{len(self.nodes)}")
        self.nodes.append(onnx_module().helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def cast(self, x: str, operand: int = 0) -> str:
        """To the type of an operand; CastLike, which says the same, is younger than some of these operators."""
        kind = onnx_module().helper.np_dtype_to_tensor_dtype(self._step.dtype(operand))
        return self("Cast", x, to=int(kind))

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """Nothing where the order is theirs already, as that of a scalar is."""
        return self("Identity", x) if list(order) == sorted(order) else self("Transpose", x, perm=list(order))

    def reduce(self, kind: str, x: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Axes are an operand of ReduceSum, and from opset 18 on of all others."""
        if self._step.opset >= 18 or kind == "ReduceSum":
            return self(kind, x, self._step.indices("axes", list(axes)), keepdims=int(keep))
        return self(kind, x, axes=list(axes), keepdims=int(keep))

    def result(self, output: int = 0) -> list[Any]:
        """The nodes; the last one's result is the node's."""
        self.nodes[-1].output[0] = self._step.node.output[output]
        self.nodes[-1].name = self._step.node.name
        return self.nodes

    def give(self, *results: str) -> None:
        """These values are the node's results, as far as it has them."""
        for result, name in zip(results, self._step.node.output, strict=False):
            if name:
                self.nodes.append(onnx_module().helper.make_node("Identity", [result], [name]))


Rule = Callable[[Definition], list[Any]]
"""No nodes: it stays as it is."""
DEFINITIONS: dict[str, Rule] = {}


def definition(*names: str) -> Callable[[Rule], Rule]:
    """Decorator: these operators are what this function makes of them."""

    def register(rule: Rule) -> Rule:
        for name in names:
            DEFINITIONS[name] = rule
        return rule

    return register


def defined(step: Definition) -> list[Any] | None:
    """The nodes for one; None if it is to stay as it is. Raises Rejected."""
    nodes = rewritten(step, partial(DEFINITIONS[step.node.op_type], step))
    if not nodes:
        return None
    made = {name for node in nodes for name in node.output}
    for number, name in enumerate(step.node.output):
        if name and name not in made:
            raise Rejected(f"result {number} ({name!r}) is not supported")
    for name in step.attributes:
        raise Rejected(f"the attribute {name} is not supported here")
    return nodes


# Constants, and choices by a constant.


@definition("Size")
def _size(step: Definition) -> list[Any]:
    do = Steps(step)
    do("Identity", step.indices("size", prod(step.shape())))
    return do.result()


@definition("EyeLike")
def _eye(step: Definition) -> list[Any]:
    helper = onnx_module().helper
    code = step.take("dtype", 0)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(code)) if code else step.dtype()
    (rows, columns), do = step.shape(), Steps(step)
    do("Identity", step.constant("eye", np.eye(rows, columns, step.take("k", 0)), dtype))
    return do.result()


@definition("Trilu")
def _triangle(step: Definition) -> list[Any]:
    k = int(step.known(1, "the diagonal").reshape(-1)[0]) if step.has(1) else 0
    rows, columns = step.shape()[-2:]
    upper = np.arange(columns) - np.arange(rows)[:, None]
    kept = upper >= k if step.take("upper", 1) else upper <= k
    do = Steps(step)
    do("Where", step.constant("kept", kept, np.bool_), step.node.input[0], step.like("zero", 0))
    return do.result()


@definition("Compress")
def _compress(step: Definition) -> list[Any]:
    chosen = np.flatnonzero(step.known(1, "the condition"))
    axis, x, do = step.take("axis", None), step.node.input[0], Steps(step)
    if axis is None:
        x = do("Reshape", x, step.indices("row", [-1]))
    do("Gather", x, step.indices("chosen", chosen), axis=0 if axis is None else step.axis(axis))
    return do.result()


@definition("GatherND")
def _gather_nd(step: Definition) -> list[Any]:
    """Batches are coordinates like others."""
    batches, (x, indices), do = step.take("batch_dims", 0), step.node.input, Steps(step)
    if not batches:
        return []
    outer, inner = step.shape(1)[:batches], step.shape(1)[batches:-1]
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in outer), indexing="ij"), -1)
    whole = np.broadcast_to(grid.reshape(*outer, *(1,) * len(inner), batches), (*outer, *inner, batches))
    indices = do("Concat", step.constant("batches", whole, step.dtype(1)), indices, axis=-1)
    do("GatherND", x, indices)
    return do.result()


@definition("Hardmax")
def _hardmax(step: Definition) -> list[Any]:
    axis, do = step.axis(step.take("axis", -1)), Steps(step)
    shape = [-1 if i == axis else 1 for i in range(len(step.shape()))]
    first = do("ArgMax", step.node.input[0], axis=axis, keepdims=1)
    numbers = step.indices("numbers", np.arange(step.shape()[axis]).reshape(shape))
    do.cast(do("Equal", first, numbers))
    return do.result()


@definition("Shrink")
def _shrink(step: Definition) -> list[Any]:
    """Towards 0 by the bias, and to 0 what is within the bounds."""
    x, do = step.node.input[0], Steps(step)
    bound, bias = step.take("lambd", 0.5), step.like("bias", step.take("bias", 0.0))
    above = do("Where", do("Greater", x, step.like("high", bound)), do("Sub", x, bias), step.like("zero", 0))
    do("Where", do("Less", x, step.like("low", -bound)), do("Add", x, bias), above)
    return do.result()


# Tests of floats.


@definition("IsNaN")
def _is_nan(step: Definition) -> list[Any]:
    x, do = step.node.input[0], Steps(step)
    do("Not", do("Equal", x, x))
    return do.result()


@definition("IsInf")
def _is_infinite(step: Definition) -> list[Any]:
    x, do, most = step.node.input[0], Steps(step), float(np.finfo(np.float32).max)
    wide = do("Cast", x, to=onnx_module().TensorProto.FLOAT)
    tests = list[str]()
    if step.take("detect_positive", 1):
        tests.append(do("Greater", wide, step.constant("most", most, np.float32)))
    if step.take("detect_negative", 1):
        tests.append(do("Less", wide, step.constant("least", -most, np.float32)))
    if len(tests) == 2:
        do("Or", *tests)
    elif not tests:
        do("Identity", step.constant("never", np.zeros(step.shape()), np.bool_))
    return do.result()


# Normalisations and pools.


@definition("LpNormalization")
def _lp_normalization(step: Definition) -> list[Any]:
    """Where the norm is 0, so are the elements."""
    x, p, axis, do = step.node.input[0], step.take("p", 2), step.axis(step.take("axis", -1)), Steps(step)
    if p not in (1, 2):
        raise Rejected(f"p = {p}")
    norm = do.reduce(f"ReduceL{p}", x, [axis])
    do("Div", x, do("Where", do("Equal", norm, step.like("zero", 0)), step.like("one", 1), norm))
    return do.result()


@definition("LpPool")
def _lp_pool(step: Definition) -> list[Any]:
    """From the mean of the powers; what is padded counts as 0, that of `ceil_mode` as well."""
    p, do = step.take("p", 2), Steps(step)
    kernel = step.value("kernel_shape", [])
    pads = _all_pads(step, kernel) if step.take("ceil_mode", 0) else None
    power = do("Pow", do("Abs", step.node.input[0]), step.like("power", p))
    if pads is not None:
        step.attributes.pop("pads", None)
    mean = do("AveragePool", power, count_include_pad=1, **({} if pads is None else {"pads": pads}))
    do.nodes[-1].attribute.extend(step.attributes.values())
    step.attributes.clear()
    total = do("Mul", mean, step.like("count", prod(kernel)))
    do("Pow", total, step.like("root", 1 / p))
    return do.result()


def _all_pads(step: Definition, kernel: Sequence[int]) -> list[int] | None:
    """Begins, then ends, of a pool with `ceil_mode`: up to where its windows reach; None where `auto_pad` says it."""
    if step.value("auto_pad", b"NOTSET") in (b"SAME_UPPER", b"SAME_LOWER"):
        return None
    step.take("auto_pad", "")
    size, result, rank = step.shape()[2:], step.shape_of(step.node.output[0])[2:], len(kernel)
    strides, dilations = (step.value(name, []) or [1] * rank for name in ("strides", "dilations"))
    begins = list(step.value("pads", []) or [0] * (2 * rank))[:rank]
    axes = zip(size, result, kernel, strides, dilations, begins, strict=True)
    return begins + [max((o - 1) * s + (k - 1) * d + 1 - n - b, 0) for n, o, k, s, d, b in axes]


@definition("MaxPool", "AveragePool")
def _volume_pool(step: Definition) -> list[Any]:
    """Of three axes: over the last two, then over the first; others stay as they are.

    The maximum of maxima is the maximum, and as a window is a product of ranges, so is the number of its elements.
    """
    shape = step.shape() if step.value("kernel_shape", []) else ()
    if len(shape) != 5:
        return []
    result, kind = step.shape_of(step.node.output[0]), step.node.op_type
    lists = {name: list(step.take(name, [])) for name in ("kernel_shape", "strides", "dilations", "pads")}
    common = [step.attributes.pop(n) for n in ("auto_pad", "ceil_mode", "count_include_pad") if n in step.attributes]
    step.take("storage_order", 0)  # of the indices
    do = Steps(step)

    def pool(x: str, axes: Sequence[int], ones: int) -> str:
        """Over some of the three axes, and then over `ones` axes of size 1."""
        chosen = {name: [values[a] for a in axes] + [1] * ones for name, values in lists.items() if len(values) == 3}
        if lists["pads"]:
            begin, end = (list(lists["pads"][at : at + 3]) for at in (0, 3))
            chosen["pads"] = [p for side in (begin, end) for p in [*(side[a] for a in axes), *[0] * ones]]
        name = do(kind, x, **chosen)
        do.nodes[-1].attribute.extend(common)
        return name

    images = do("Reshape", step.node.input[0], step.indices("images", [1, prod(shape[:3]), *shape[3:]]))
    flat = pool(images, (1, 2), 0)
    columns = do("Reshape", flat, step.indices("columns", [1, prod(shape[:2]), shape[2], prod(result[3:])]))
    deep = pool(columns, (0,), 1)
    do("Reshape", deep, step.indices("result", result))
    return do.result()


# Elements put at places.


@definition("Col2Im")
def _columns_to_image(step: Definition) -> list[Any]:
    """Blocks, a column each, are added up where they come from."""
    shape, do = step.shape(), Steps(step)
    image, block = ([int(n) for n in step.known(i, what)] for i, what in ((1, "the size"), (2, "the block")))
    rank = len(image)
    strides, dilations = (list(step.take(name, None) or [1] * rank) for name in ("strides", "dilations"))
    pads = list(step.take("pads", None) or [0] * 2 * rank)
    padded = [n + pads[i] + pads[rank + i] for i, n in enumerate(image)]
    counts = [(p - (b - 1) * d - 1) // s + 1 for p, b, d, s in zip(padded, block, dilations, strides, strict=True)]
    inside = np.indices(block).reshape(rank, -1, 1) * np.array(dilations)[:, None, None]
    begin = np.indices(counts).reshape(rank, 1, -1) * np.array(strides)[:, None, None]
    places = np.moveaxis(inside + begin, 0, -1)  # (elements of a block, blocks, axes)
    channels = shape[1] // prod(block)
    rows = do("Reshape", step.node.input[0], step.indices("rows", [shape[0] * channels, -1]))
    turned = do("Transpose", rows, perm=[1, 0])
    zeros = step.like("zeros", np.zeros((*padded, shape[0] * channels)))
    coordinates = step.indices("places", places.reshape(-1, rank))
    added = do("ScatterND", zeros, coordinates, turned, reduction="add")
    if any(pads):
        last = step.indices("last", [n - p for n, p in zip(padded, pads[rank:], strict=True)])
        added = do("Slice", added, step.indices("first", pads[:rank]), last, step.indices("axes", list(range(rank))))
    moved = do("Transpose", added, perm=[rank, *range(rank)])
    do("Reshape", moved, step.indices("shape", [shape[0], channels, *image]))
    return do.result()


@definition("MaxUnpool")
def _max_unpool(step: Definition) -> list[Any]:
    """Elements at their places in the tensor that was pooled, zeros elsewhere."""
    shape, do = step.shape(), Steps(step)
    rank, kernel = len(shape) - 2, step.take("kernel_shape", [])
    strides, pads = step.take("strides", None) or [1] * rank, step.take("pads", None) or [0] * 2 * rank
    usual = [
        *shape[:2],
        *((shape[2 + i] - 1) * strides[i] + kernel[i] - pads[i] - pads[rank + i] for i in range(rank)),
    ]
    result = [int(n) for n in step.known(2, "the size")] if step.has(2) else usual
    places = step.known(1, "the list of indices")
    if result != usual:  # indices count in the tensor of the usual size
        places = np.ravel_multi_index(np.unravel_index(places, usual), result)
    row = do("Reshape", step.node.input[0], step.indices("row", [-1]))
    zeros = step.like("zeros", np.zeros(prod(result)))
    put = do("ScatterElements", zeros, step.indices("places", places.ravel()), row)
    do("Reshape", put, step.indices("shape", result))
    return do.result()
