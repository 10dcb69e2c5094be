"""Products of integers whose sums become floats: the conversion, the scale and the bias are part of the product.

What onnxruntime's dynamic quantisation writes, MatMulInteger or ConvInteger, Cast, Mul, perhaps Add, and Relu or Clip
behind it, is then a single kernel, and there are no sums in RAM. Each float operation is rounded as before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import inf

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Graph, Node, Op
from tinycompile.ops._integer_product import IntegerProduct
from tinycompile.ops.add import Add
from tinycompile.ops.cast import Cast
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.mul import Mul
from tinycompile.ops.relu import Relu


def fuse_integer_products(graph: Graph) -> Graph:
    """The graph with products that give floats wherever nothing else reads their sums."""
    if not any(isinstance(node.op, IntegerProduct) for node in graph.nodes):
        return graph
    readers = _only_readers(graph)
    fused, gone = dict[str, Node](), set[str]()
    for node in graph.nodes:
        if isinstance(node.op, IntegerProduct) and len(node.inputs) == 4:
            chain = _chain(graph, node, readers)
            if len(chain) > 2:
                operands = [_other(step, before.outputs[0]) for before, step in pairwise(chain[1:])]
                last, op = chain[-1], node.op
                activation = readers.get(last.outputs[0])
                bounds = None if activation is None else _bounds(activation.op)
                if activation is not None and bounds is not None:
                    chain, last, op = [*chain, activation], activation, replace(op, bounds=bounds)
                fused[last.name] = Node(last.name, op, (*node.inputs, *operands), last.outputs)
                gone |= {step.name for step in chain[:-1]}
    if not fused:
        return graph
    nodes = tuple(fused.get(node.name, node) for node in graph.nodes if node.name not in gone)
    return replace(graph, nodes=nodes).without_dead()


def _only_readers(graph: Graph) -> dict[str, Node]:
    """The node that reads a value, where it is the only one and the value is no output."""
    counts = Counter(name for node in graph.nodes for name in node.inputs) + Counter(graph.outputs)
    return {name: node for node in graph.nodes for name in node.inputs if counts[name] == 1}


def _chain(graph: Graph, product: Node, readers: dict[str, Node]) -> list[Node]:
    """The product, the conversion to floats, the factor and the bias, as far as they follow each other."""
    found = [product]
    for op in (Cast(FLOAT32), Mul(), Add()):
        step = readers.get(found[-1].outputs[0])
        if step is None or step.op != op or (len(found) > 1 and not _by_channel(graph, step, found[-1])):
            break
        found.append(step)
    return found


def _bounds(op: Op) -> tuple[float, float] | None:
    """Of Relu and Clip of floats; None for other operators."""
    if op == Relu():
        return 0.0, inf
    if isinstance(op, ElementwiseFunction) and op.function == "clip" and op.a <= op.b:
        return op.a, op.b
    return None


def _by_channel(graph: Graph, step: Node, before: Node) -> bool:
    """Whether the other operand has one element, or one for each channel."""
    other, result = graph.types[_other(step, before.outputs[0])], graph.types[step.outputs[0]]
    same = result.shape == graph.types[before.outputs[0]].shape
    channels = other.elements == 1 or (other.elements == result.shape[-1] and other.shape[-1:] == result.shape[-1:])
    return same and channels and other.dtype == FLOAT32


def _other(step: Node, operand: str) -> str:
    """Of two operands, the one that isn't this."""
    return step.inputs[1] if step.inputs[0] == operand else step.inputs[0]
