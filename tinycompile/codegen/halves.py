"""What each of two cores calls for a layer, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tinycompile.codegen.arguments import Argument, ConstantName, Scratch
from tinycompile.codegen.steps import place_of
from tinycompile.ir import Graph, Node
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.planner.problem import whole_units


@dataclass(frozen=True, eq=False)
class HalfCall:
    """A core's call."""

    function: str
    arguments: tuple[Argument, ...]


def half_calls(
    kernel: Kernel,
    node: Node,
    graph: Graph,
    function: Callable[[Kernel], str],
    constant: Callable[[Constant], ConstantName],
) -> tuple[HalfCall, ...]:
    """Those of a layer, core 0's first; none where one core computes it.

    Args:
        function, constant: what those of a kernel are called.
    """
    found, scratch = list[HalfCall](), 0
    for half in kernel.halves:
        operands = [(i, name) for i, name in enumerate(node.inputs) if name not in graph.constants]
        channel = 0 if half.channels is None else half.channels.start
        arguments: list[Argument] = [place_of(graph, n, half.reads.get(i, (channel, 0))[0]) for i, n in operands]
        arguments += [place_of(graph, node.outputs[0], half.writes[0] + channel)]
        offsets = half.offsets or (0,) * len(half.kernel.constants)
        arguments += [
            replace(constant(each), offset=at) for each, at in zip(half.kernel.constants, offsets, strict=True)
        ]
        arguments += [Scratch(scratch)] if half.kernel.scratch_bytes else []
        scratch += whole_units(half.kernel.scratch_bytes)
        found.append(HalfCall(function(half.kernel), tuple(arguments)))
    return tuple(found)
