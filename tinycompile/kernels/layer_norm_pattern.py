"""Which nodes are layer normalisation as TFLite's converters write it: an operator for every step.

    mean = MEAN(x)    root = f(MEAN(SQUARED_DIFFERENCE(x, mean)))
    scaled: gain = MUL(root, gamma)    y = ADD(MUL(x, gain), ADD(MUL(h(mean), gain), beta))
    plain:  y = ADD(MUL(x, root), h(MUL(root, mean)))

with functions of one value, f (epsilon, RSQRT) and h (a change of sign, which Keras' files leave in float32).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Node, Op, Signature, Site, TensorType
from tinycompile.kernels.cover import OfOneValue, Uses, fused, parts_of
from tinycompile.kernels.fused_table import function_of
from tinycompile.ops.add import Add
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.rsqrt import Rsqrt
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.ops.sub import Sub


class LayerNormPattern(OfOneValue):
    """The nodes follow each other, so that nothing between them needs memory."""

    gathers: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(Mean, SquaredDifference, Rsqrt, Mul, Add, Sub, Neg, Dequantize, Quantize, Reshape)

    def ends_in(self, op: type[Op]) -> bool:
        return op is Add

    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        for steps in super().matches(uses, last):
            if self._has_all(uses.graph.nodes[step] for step in steps):
                yield steps

    def fits(self, nodes: Sequence[Node]) -> bool:
        return super().fits(nodes) and self._has_all(nodes)

    @staticmethod
    def _has_all(nodes: Iterator[Node] | Sequence[Node]) -> bool:
        kinds = [type(node.op) for node in nodes]
        return kinds[-1] is Add and kinds.count(Mean) == 2 and kinds.count(SquaredDifference) == 1 and Rsqrt in kinds


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """The parts by what they do.

    Attributes:
        mean, square, variance: the statistics of a row.
        x_of_square: which operand of the squares is x.
        roots: by the variance's byte, 256 entries; root: their type.
        scaled_x: the product of x. total: the last sum. x_of_total: which operand of it is that product.
        scaled_mean: the product of the mean. centre: the type of the mean in it.
        function: h, 256 entries: in front of that product if there is a gain, else behind it.
        gain: root times gamma. offset: the scaled mean and beta; None in the plain form, both.
    """

    mean: Site
    square: Site
    x_of_square: int
    variance: Site
    roots: Array
    root: TensorType
    scaled_x: Site
    total: Site
    x_of_total: int
    scaled_mean: Site
    centre: TensorType
    function: Array
    gain: Site | None = None
    offset: Site | None = None

    @property
    def rows(self) -> int:
        return self.mean.sig.output.elements

    @property
    def depth(self) -> int:
        return self.mean.sig.input.shape[-1]


def layer_norm_of(site: Site) -> LayerNorm | None:
    """Of a fused node; None where it isn't quite this."""
    parts = parts_of(site)
    operands = [name for name, constant in zip(site.node.inputs, site.constants, strict=True) if constant is None]
    if len(operands) != 1:
        return None
    reader = _Reader({part.node.outputs[0]: part for part in parts}, operands[0])
    try:
        found = reader.norm(parts[-1])
    except _OtherFormError:
        return None
    whole = reader.seen == {part.node for part in parts if not isinstance(part.node.op, Reshape)}
    return found if whole and _is_by_rows(found) else None


def _is_by_rows(found: LayerNorm) -> bool:
    """Whether both means are of int8 rows, and everything else has the shape of x or one element for each row."""
    elements = found.rows * found.depth
    whole = (found.mean.sig.input, found.square.sig.output, found.scaled_x.sig.output, found.total.sig.output)
    vectors = [part for part in (found.gain, found.offset) if part is not None]
    aligned = (found.square, found.scaled_x, found.total, *vectors, *([found.scaled_mean] if vectors else []))
    rows_of_means = [_is_of_rows(part.sig, part.node.op) for part in (found.mean, found.variance)]
    return (
        all(rows_of_means)
        and all(t.elements == elements and t.dtype == INT8 and t.shape[-1] == found.depth for t in whole)
        and all(part.sig.output.elements == elements for part in vectors)
        and all(_is_aligned(part, found.rows, found.depth) for part in aligned)
        and (found.gain is not None or found.scaled_mean.sig.output.elements == found.rows)
    )


def _is_aligned(part: Site, rows: int, depth: int) -> bool:
    """Whether constants have an element for each column, and other operands all elements or one for each row.

    As many elements aren't enough: where there are as many rows as columns, means of rows without the last axis belong
    to columns.
    """
    columns, others = (depth, depth), [(rows * depth, depth), (rows, 1)]
    return all(
        (t.elements, t.shape[-1] if t.shape else 1) in ([columns] if constant is not None else others)
        for t, constant in zip(part.sig.inputs, part.constants, strict=True)
    )


def _is_of_rows(sig: Signature, op: object) -> bool:
    x = sig.input.shape
    axes = op.axes if isinstance(op, Mean) else ()
    return len(x) - 1 in axes and all(x[axis] == 1 for axis in axes if axis != len(x) - 1)


class _OtherFormError(Exception):
    """An operator isn't where the forms have it."""


class _Reader:
    """Walks from results to what they are made of.

    Attributes:
        seen: the parts that have a place in the form.
    """

    def __init__(self, makers: Mapping[str, Site], x: str) -> None:
        self._makers, self._x = makers, x
        self.seen = set[Node]()

    def norm(self, last: Site) -> LayerNorm:
        total = self._take(last, Add)
        made = [self._before(name) for name in total.node.inputs]
        products = [part for part in made if isinstance(part.node.op, Mul) and self._reads_x(part)]
        if len(products) != 1:
            raise _OtherFormError
        at = made.index(products[0])
        scaled_x = self._take(products[0], Mul)
        factor = self._before(self._beside_x(scaled_x))
        gain = self._take(factor, Mul) if _known(factor) else None
        name = self._beside_x(scaled_x) if gain is None else _unknown(gain)
        root = self._before(name)
        variance, roots = self._function(name, Mean)
        square = self._take(self._before(variance.node.inputs[0]), SquaredDifference)
        offset = None if gain is None else self._take(made[1 - at], Add)
        if offset is not None and not _known(offset):
            raise _OtherFormError
        if offset is None:
            scaled_mean, function = self._function(total.node.inputs[1 - at], Mul)
            centre = self._beside(scaled_mean, root)
            mean = self._take(self._before(centre), Mean)
        else:
            scaled_mean = self._take(self._before(_unknown(offset)), Mul)
            centre = self._beside(scaled_mean, factor)
            mean, function = self._function(centre, Mean)
        if self._before(self._beside_x(square)) is not mean or mean.node.inputs[0] != self._x:
            raise _OtherFormError
        return LayerNorm(
            mean=mean,
            square=square,
            x_of_square=square.node.inputs.index(self._x),
            variance=variance,
            roots=roots,
            root=root.sig.output,
            scaled_x=scaled_x,
            total=total,
            x_of_total=at,
            scaled_mean=scaled_mean,
            centre=self._before(centre).sig.output,
            function=function,
            gain=gain,
            offset=offset,
        )

    def _beside(self, product: Site, factor: Site) -> str:
        """The name of the other operand."""
        others = [name for name in product.node.inputs if self._before(name) is not factor]
        if len(others) != 1:
            raise _OtherFormError
        return others[0]

    def _function(self, name: str, kind: type[Mean | Mul]) -> tuple[Site, Array]:
        """The part of a kind that a function of its result leads to, and the function's entries."""
        parts, part = list[Site](), self._before(name)
        while not isinstance(part.node.op, kind):
            self.seen.add(part.node)
            parts.insert(0, part)
            part = self._before(_unknown(part))
        return self._take(part, kind), _entries(parts)

    def _take(self, part: Site, kind: type[Mean | Mul | Add | SquaredDifference]) -> Site:
        if not isinstance(part.node.op, kind):
            raise _OtherFormError
        self.seen.add(part.node)
        return part

    def _before(self, name: str) -> Site:
        found = self._before_or_none(name)
        if found is None:
            raise _OtherFormError
        return found

    def _before_or_none(self, name: str) -> Site | None:
        """What makes a value; a reshape is what it reshapes."""
        part = self._makers.get(name)
        while part is not None and isinstance(part.node.op, Reshape):
            part = self._makers.get(part.node.inputs[0])
        return part

    def _reads_x(self, part: Site) -> bool:
        return part.node.inputs.count(self._x) == 1

    def _beside_x(self, part: Site) -> str:
        others = [name for name in part.node.inputs if name != self._x]
        if len(others) != 1 or len(part.node.inputs) != 2:
            raise _OtherFormError
        return others[0]


def _known(part: Site) -> bool:
    """Whether one of two operands is a constant with more than one element."""
    return any(value is not None and value.size > 1 for value in part.constants)


def _unknown(part: Site) -> str:
    """The only operand that isn't constant."""
    names = [name for name, value in zip(part.node.inputs, part.constants, strict=True) if value is None]
    if len(names) != 1:
        raise _OtherFormError
    return names[0]


def _entries(parts: Sequence[Site]) -> Array:
    """Of the function that parts are, one after the other, from int8 to int8."""
    if not parts:
        return np.arange(256, dtype=np.uint8).view(np.int8)
    types = {
        n: t
        for p in parts
        for n, t in zip((*p.node.inputs, *p.node.outputs), (*p.sig.inputs, *p.sig.outputs), strict=True)
    }
    constants = {n: c for p in parts for n, c in zip(p.node.inputs, p.constants, strict=True)}
    node = fused([part.node for part in parts], types) if len(parts) > 1 else parts[0].node
    sig = Signature(tuple(types[name] for name in node.inputs), parts[-1].sig.outputs)
    found = function_of(Site(node, sig, tuple(constants[name] for name in node.inputs)))
    if found is None or (sig.inputs[found[0]].dtype, sig.output.dtype) != (INT8, INT8):
        raise _OtherFormError
    return found[1]
