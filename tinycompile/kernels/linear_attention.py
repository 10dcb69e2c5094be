"""Linear attention's quotients, (query . sums) / (query . weight), without what is divided: two queries at a time.

    quantize((query . sums) * scale / ((query . weight) * scale * factor + summand))

where the products are `MatMulInteger`, the query may be transposed in front of both, and the factor may be missing.
Each float operation rounds as before (`runtime/kernels/tc_linear_attention.h`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import ClassVar

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Array, Node, Site
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Pattern, Uses, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.ops.add import Add
from tinycompile.ops.div import Div
from tinycompile.ops.matmul_integer import MatMulInteger
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.transpose import Transpose
from tinycompile.targets.core import Core

DEEPEST = 30_000
"""Elements of a query whose products with bytes have sums of 32 bits."""
_SCALED = 5
"""Operands of a `MatMulInteger` with a scale."""

Made = Callable[[str, Sequence[Node]], Node | None]
"""The node that makes a value which these nodes alone read."""


@dataclass(frozen=True, eq=False)
class Roles:
    """The nodes by what they do; `turned` and `factor` may be missing."""

    turned: Node | None
    divided: Node
    weight: Node
    factor: Node | None
    summand: Node
    quotient: Node
    rounded: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        found = (self.turned, self.divided, self.weight, self.factor, self.summand, self.quotient, self.rounded)
        return tuple(node for node in found if node is not None)


def roles(last: Node, made: Made) -> Roles | None:
    """Of the nodes of which this is the last one."""
    if not isinstance(last.op, Quantize):
        return None
    quotient = made(last.inputs[0], (last,))
    if quotient is None or not isinstance(quotient.op, Div):
        return None
    divided, summand = (made(name, (quotient,)) for name in quotient.inputs)
    if divided is None or summand is None or not isinstance(summand.op, Add):
        return None
    factor, weight = None, _only(summand, made)
    if weight is not None and isinstance(weight.op, Mul):
        factor, weight = weight, _only(weight, made)
    if weight is None or not isinstance(weight.op, MatMulInteger) or not isinstance(divided.op, MatMulInteger):
        return None
    if divided.inputs[0] != weight.inputs[0] or divided is weight:
        return None
    turned = made(divided.inputs[0], (divided, weight))
    if turned is not None and not isinstance(turned.op, Transpose):
        turned = None
    return Roles(turned, divided, weight, factor, summand, quotient, last)


def _only(node: Node, made: Made) -> Node | None:
    """Of the nodes that make a node's operands, the only one."""
    found = [before for name in node.inputs if (before := made(name, (node,))) is not None]
    return found[0] if len(found) == 1 else None


class LinearAttentionPattern(Pattern):
    """The nodes follow each other, so that what is divided needn't exist."""

    gathers: ClassVar[bool] = True

    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        nodes = uses.graph.nodes
        steps = {id(nodes[last]): last}

        def made(name: str, readers: Sequence[Node]) -> Node | None:
            step = uses.made_for(name, *(steps[id(reader)] for reader in readers))
            if step is None:
                return None
            steps[id(nodes[step])] = step
            return nodes[step]

        found = roles(nodes[last], made)
        if found is not None:
            yield tuple(sorted(steps[id(node)] for node in found.nodes))

    def fits(self, nodes: Sequence[Node]) -> bool:
        return _roles_among(nodes) is not None


def _roles_among(nodes: Sequence[Node]) -> Roles | None:
    """If these are all of the nodes, in any order that they can be executed in."""
    makers = {name: node for node in nodes for name in node.outputs}
    found = roles(nodes[-1], lambda name, _: makers.get(name))
    return found if found is not None and set(found.nodes) == set(nodes) else None


@cover_for(LinearAttentionPattern(), needs={"dsp"})
def linear_attention(site: Site, core: Core) -> Kernel | None:
    """`tc_linear_attention_s8`."""
    parts = {part.node: part for part in parts_of(site)}
    found = _roles_among(list(parts))
    if found is None:
        return None
    divided, weight = parts[found.divided], parts[found.weight]
    fields, scales = _shape(found, parts), _scales(found, parts)
    if fields is None or scales is None or len(list(site.dynamic_inputs())) != 3:
        return None
    result, op = site.sig.output, found.rounded.op
    names = _names(site, found)
    if not isinstance(op, Quantize) or result.dtype != INT8 or names is None:
        return None
    *batch, queries, columns = divided.sig.output.shape
    low, high = op.range
    quantize = {
        "count": columns,
        "scale": result.scale,
        "zero_point": result.zero_point,
        "low": low,
        "high": high,
        "ties_even": int(op.ties == "even"),
    }
    depth, matrices = divided.sig.input.shape[-1], prod(batch)
    function = struct_call(
        f"linear_attention_{matrices}x{queries}x{depth}x{columns}",
        "tc_linear_attention_s8",
        "tc_linear_attention.h",
        (*(f"const int8_t *{name}" for name in names), "int8_t *output", "void *scratch"),
        (
            Struct("tc_linear_attention_shape", fields),
            Struct("tc_linear_attention_scales", scales, "scales"),
            Struct("tc_quantize_shape", quantize, "result"),
        ),
        "Linear attention's quotients, two queries at a time.",
        ("query", "sums", "weight", "output", "scratch"),
    )
    pairs, fours = -(-depth // 2), -(-columns // 4)
    scratch = 8 * pairs + 16 * fours * pairs + 8 * -(-pairs // 2) + 8 * columns
    quotient = 18 if core.has("fpu") else 450
    two = 60 + 10 * pairs + fours * (25 + 16 * pairs) + 2 * (30 + (columns + 1) * quotient)
    packing = 30 + (columns + 1) * (10 + 3 * pairs)
    return Kernel(
        "linear_attention",
        function,
        scratch_bytes=-(-scratch // 8) * 8,
        instructions=matrices * (packing + -(-queries // 2) * two) + 60,
        code_bytes=1100,
        notes={"reason": f"of what is divided there are 2 of {weight.sig.output.elements} rows"},
    )


def _names(site: Site, found: Roles) -> list[str] | None:
    """What each operand in RAM is called; None where a tensor has two parts."""
    query = found.divided.inputs[0] if found.turned is None else found.turned.inputs[0]
    called = {query: "query", found.divided.inputs[1]: "sums", found.weight.inputs[1]: "weight"}
    names = [called.get(site.node.inputs[index], "") for index, _ in site.dynamic_inputs()]
    return names if len(called) == len(names) and all(names) else None


def _shape(found: Roles, parts: dict[Node, Site]) -> Fields | None:
    """Members of a `tc_linear_attention_shape`; None where matrices aren't beside each other."""
    divided, weight = parts[found.divided], parts[found.weight]
    (x, y), w = divided.sig.inputs[:2], weight.sig.inputs[1]
    *batch, queries, depth = x.shape
    columns = y.shape[-1]
    if y.shape[:-2] != tuple(batch) or w.shape != (*batch, depth, 1) or depth > DEEPEST:
        return None
    along = 1
    if found.turned is not None:
        op = found.turned.op
        order = tuple(range(len(batch)))
        if not isinstance(op, Transpose) or op.permutation != (*order, len(batch) + 1, len(batch)):
            return None
        along = queries if depth > 1 else 1
    zeros = [_number(part.constants[index]) for part, index in ((divided, 2), (divided, 3), (weight, 3), (weight, 2))]
    if None in zeros or zeros[0] != zeros[3]:
        return None
    stride = 1 if found.turned is not None else depth
    return {
        "matrices": prod(batch),
        "queries": queries,
        "columns": columns,
        "query": _vectors(stride, along, depth, zeros[0]),
        "sums": _vectors(1, columns if depth > 1 else 1, depth, zeros[1]),
        "weight": _vectors(depth, 1, depth, zeros[2]),
    }


def _vectors(stride: int, along: int, depth: int, zero_point: float | None) -> Fields:
    """Members of a `tc_matrix_vectors`."""
    return {
        "vector_stride": stride,
        "depth_stride": along,
        "depth": depth,
        "zero_point": int(zero_point or 0),
        "shift": 0,
    }


def _number(constant: Array | None) -> float | None:
    return float(constant.reshape(())) if constant is not None and constant.size == 1 else None


def _scales(found: Roles, parts: dict[Node, Site]) -> Fields | None:
    """Members of a `tc_linear_attention_scales`; None where they aren't numbers that are known."""
    products = [parts[node] for node in (found.divided, found.weight)]
    for part in products:
        op = part.node.op
        if not isinstance(op, MatMulInteger) or op.bounds != (-inf, inf) or len(part.node.inputs) != _SCALED:
            return None
    others = [parts[node] for node in (found.summand, found.quotient, *([found.factor] if found.factor else []))]
    if any(part.sig.output.dtype != FLOAT32 for part in others):
        return None
    numbers = [_number(part.constants[4]) for part in products]
    numbers.append(1.0 if found.factor is None else _other(parts[found.factor]))
    numbers.append(_other(parts[found.summand]))
    names = ("scale", "weight_scale", "factor", "summand")
    return None if None in numbers else dict(zip(names, numbers, strict=True))


def _other(part: Site) -> float | None:
    """The constant of two operands."""
    found = [number for constant in part.constants if (number := _number(constant)) is not None]
    return found[0] if len(found) == 1 else None
