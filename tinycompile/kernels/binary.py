"""What the kernels of operators with two int8 operands share: how their C is called, what it costs, what may overlap.

An operator of its own names its C in a `Routine`; nothing here knows which there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.generic_overlap import gathered_distance
from tinycompile.ops._elementwise import Binary

LOOPS = 6
"""TC_BROADCAST_LOOPS."""


@dataclass(frozen=True)
class RunCost:
    """Estimated instructions of a run, which is the innermost loop over the broadcast operands.

    Attributes:
        start: of each run.
        word: of four elements at a time.
        single: of each of those that are left.
    """

    start: int
    word: int
    single: int

    @staticmethod
    def one_by_one(start: int, each: int) -> RunCost:
        return RunCost(start, 4 * each, each)

    def of(self, elements: int) -> int:
        return self.start + elements // 4 * self.word + elements % 4 * self.single


@dataclass(frozen=True)
class Routine:
    """C that computes a binary operator: `tc_<name>_s8(a, b, output, form, shape)`, with a `tc_broadcast` for shape.

    Attributes:
        header: of `runtime/kernels/`, which has it.
        variant: what tells the kernel from others of the same operator.
        requantisation: in words, for the report.
        code_bytes: estimated.
    """

    name: str
    header: str
    cost: RunCost
    variant: str = "long"
    requantisation: str = "exact"
    code_bytes: int = 200


def binary_kernel(site: Site, op: Binary, routine: Routine, form: Struct) -> Kernel | None:
    """The kernel that calls a routine; None for shapes with more loops than it has."""
    shapes = [t.shape for t in site.sig.inputs]
    loops = broadcast_loops(shapes[0], shapes[1])
    if len(loops) > LOOPS:
        return None
    padded = [(1, 0, 0)] * (LOOPS - len(loops)) + loops
    sizes, a_strides, b_strides = zip(*padded, strict=True)
    shape = Struct("tc_broadcast", {"size": sizes, "a_stride": a_strides, "b_stride": b_strides})
    function = struct_call(
        f"{op.kind}_{site.sig.output.elements}",
        f"tc_{routine.name}_s8",
        routine.header,
        operand_parameters(site),
        (form, shape),
        f"{op.kind} of two tensors.",
        ("a", "b", "output"),
    )
    return Kernel(
        f"{op.kind}_{routine.variant}",
        function,
        operand_constants(site),
        instructions=30 + prod(sizes[:-1]) * routine.cost.of(sizes[-1]),
        code_bytes=routine.code_bytes,
        overlap={
            index: gathered_distance(_read_offsets(t.shape, site.sig.output.shape))
            for index, t in site.dynamic_inputs()
        },
        notes={"requantisation": routine.requantisation},
    )


def operand_parameters(site: Site, ctype: str = "int8_t") -> tuple[str, ...]:
    """a, b and the output in the order in which functions take them: constants come last."""
    dynamic = [f"const {ctype} *{'ab'[index]}" for index, _ in site.dynamic_inputs()]
    constant = [f"const {ctype} *{'ab'[index]}" for index, value in enumerate(site.constants) if value is not None]
    return (*dynamic, f"{ctype} *output", *constant)


def operand_constants(site: Site, ctype: str = "int8_t") -> tuple[Constant, ...]:
    """Those that are known, as arrays of the code."""
    return tuple(
        Constant(f"operand_{index}", ctype, value.ravel(), f"operand {index} of {site.node.op.kind}")
        for index, value in enumerate(site.constants)
        if value is not None
    )


def broadcast_loops(a: tuple[int, ...], b: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(size, stride of a, stride of b) of as few nested loops as it takes, outermost first; at least one."""
    loops = list[tuple[int, int, int]]()
    output = np.broadcast_shapes(a, b)
    for loop in zip(output, _strides(a, output), _strides(b, output), strict=True):
        size, *inner = loop
        if size == 1:
            continue
        if loops and all(outer == stride * size for outer, stride in zip(loops[-1][1:], inner, strict=True)):
            loops[-1] = (loops[-1][0] * size, inner[0], inner[1])
        else:
            loops.append((size, inner[0], inner[1]))
    return loops or [(1, 1, 1)]


def _strides(shape: tuple[int, ...], output: tuple[int, ...]) -> list[int]:
    """Elements between neighbours along each axis of the output; 0 where the operand is repeated."""
    strides, step = list[int](), 1
    for size in reversed((1,) * (len(output) - len(shape)) + shape):
        strides.append(0 if size == 1 else step)
        step *= size
    return strides[::-1]


def _read_offsets(shape: tuple[int, ...], output: tuple[int, ...]) -> Array:
    """The operand's element that each output element reads, in memory order."""
    return np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), output).ravel()
