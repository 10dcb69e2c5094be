"""What the kernels of operators with two int8 operands share: how their C is called, what it costs, what may overlap.

An operator of its own names its C in a `Routine`; nothing here knows which there are.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        table: an array that the C takes behind the output.
    """

    name: str
    header: str
    cost: RunCost
    variant: str = "long"
    requantisation: str = "exact"
    code_bytes: int = 200
    table: Constant | None = None


def binary_kernel(site: Site, op: Binary, routine: Routine, form: Struct) -> Kernel | None:
    """The kernel that calls a routine; None for shapes with more loops than it has."""
    shape = broadcast_of(site)
    if shape is None:
        return None
    table = () if routine.table is None else (routine.table,)
    function = struct_call(
        f"{op.kind}_{site.sig.output.elements}",
        f"tc_{routine.name}_s8",
        routine.header,
        (*operand_parameters(site), *(f"const {constant.ctype} *{constant.suffix}" for constant in table)),
        (form, shape.struct),
        f"{op.kind} of two tensors.",
        ("a", "b", "output", *(constant.suffix for constant in table)),
    )
    return Kernel(
        f"{op.kind}_{routine.variant}",
        function,
        (*operand_constants(site), *table),
        instructions=30 + shape.runs * routine.cost.of(shape.run),
        code_bytes=routine.code_bytes,
        overlap={
            index: gathered_distance(_read_offsets(t.shape, site.sig.output.shape))
            for index, t in site.dynamic_inputs()
        },
        notes={"requantisation": routine.requantisation},
    )


@dataclass(frozen=True)
class Broadcast:
    """The loops around an operator with two operands.

    Attributes:
        struct: a `tc_broadcast`.
        runs: how often the innermost loop is entered.
        run: how many elements it has.
    """

    struct: Struct
    runs: int
    run: int


def broadcast_of(site: Site) -> Broadcast | None:
    """None for shapes with more loops than the C has."""
    a, b = (t.shape for t in site.sig.inputs)
    loops = broadcast_loops(a, b)
    if len(loops) > LOOPS:
        return None
    sizes, a_strides, b_strides = zip(*([(1, 0, 0)] * (LOOPS - len(loops)) + loops), strict=True)
    struct = Struct("tc_broadcast", {"size": sizes, "a_stride": a_strides, "b_stride": b_strides})
    return Broadcast(struct, prod(sizes[:-1]), sizes[-1])


def operand_parameters(site: Site, names: str = "ab") -> tuple[str, ...]:
    """Operands, by one letter each, and the output in the order in which functions take them: constants come last."""
    declared = [f"const {t.dtype.ctype} *{name}" for name, t in zip(names, site.sig.inputs, strict=True)]
    dynamic = [declared[index] for index, _ in site.dynamic_inputs()]
    constant = [declared[index] for index, value in enumerate(site.constants) if value is not None]
    return (*dynamic, f"{site.sig.output.dtype.ctype} *output", *constant)


def operand_constants(site: Site) -> tuple[Constant, ...]:
    """Those that are known, as arrays of the code."""
    return tuple(
        Constant(
            f"operand_{index}", t.dtype.ctype, t.dtype.c_elements(value), f"operand {index} of {site.node.op.kind}"
        )
        for index, (value, t) in enumerate(zip(site.constants, site.sig.inputs, strict=True))
        if value is not None
    )


def element_overlap(site: Site) -> dict[int, int]:
    """Distances of operands of the output's type, where elements are read and written in the output's order."""
    y = site.sig.output
    return {
        index: gathered_distance(_read_offsets(t.shape, y.shape), t.dtype.item_bytes)
        for index, t in site.dynamic_inputs()
        if t.dtype.ctype == y.dtype.ctype
    }


def broadcast_loops(a: tuple[int, ...], b: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(size, stride of a, stride of b) of as few nested loops as it takes, outermost first; at least one."""
    return [(size, first, second) for size, first, second in nested_loops([a, b])]


def nested_loops(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """(size, stride of each operand) of as few nested loops as it takes, outermost first; at least one."""
    loops = list[tuple[int, ...]]()
    output = np.broadcast_shapes(*shapes)
    for size, *inner in zip(output, *(_strides(shape, output) for shape in shapes), strict=True):
        if size == 1:
            continue
        if loops and all(outer == stride * size for outer, stride in zip(loops[-1][1:], inner, strict=True)):
            loops[-1] = (loops[-1][0] * size, *inner)
        else:
            loops.append((size, *inner))
    return loops or [(1,) * (1 + len(shapes))]


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
