"""Kernels of several operators against their definitions one after the other: in C on the host, and in QEMU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import clamps, layer, paddings, pairs, quick
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.full import also
from tests.support.host_kernel import compile_together
from tests.support.kernel_checks import check, int8
from tinycompile.dtypes import INT8, UINT8
from tinycompile.ir import Graph, Node, Op, Quantization, Signature, Site, TensorType
from tinycompile.kernels import block, block_row, mve, packed_pixels, woven
from tinycompile.kernels.base import Factory
from tinycompile.kernels.cover import fused, matches
from tinycompile.kernels.fused_table import table
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.sub import Sub

M3, M0 = core_named("cortex-m3"), core_named("cortex-m0plus")
M55 = core_named("cortex-m55", dsp=True, mve=True, fpu=True)
LINEAR_AND = [(block.linear_and, M3), (packed_pixels.linear_and, M0), (mve.linear_and, M55)]
ONE, NONE = (1, 1), (0, 0, 0, 0)


def together(first: Site, rest: Sequence[tuple[Op, tuple[str, ...], TensorType]], **others: TensorType | int) -> Site:
    """A node and others, which make the values r0, r1 ...; `y` is the first one's result, x0 its input.

    Args:
        rest: (operator, operands, type whose quantisation the result has).
        others: further values: tensors that are there, or constants of one element with `int8(())`'s quantisation.
    """
    types = dict(zip(first.node.inputs, first.sig.inputs, strict=True)) | {"y": first.sig.output}
    constants = {n: c for n, c in zip(first.node.inputs, first.constants, strict=True) if c is not None}
    for name, other in others.items():
        types[name] = int8(()) if isinstance(other, int) else other
        if isinstance(other, int):
            constants[name] = np.array(other, np.int8)
    nodes = [first.node]
    for index, (op, operands, t) in enumerate(rest):
        ((shape, dtype),) = op.infer([types[name] for name in operands])
        types[f"r{index}"] = TensorType(shape, dtype, t.quant)
        nodes.append(Node(f"part{index}", op, operands, (f"r{index}",)))
    given_values = tuple(name for name in types if name not in constants and name[0] not in "yr")
    graph = Graph("g", given_values, (f"r{len(rest) - 1}",), tuple(nodes), types, constants)
    node = fused(graph.nodes, graph.types)
    assert node.name in {found.name for _, found in matches(graph)}
    return graph.site(node)


def convolution(depth: int = 5, channels: int = 6, seed: int = 3, op: Conv2D | None = None, size: int = 3) -> Site:
    op = op or Conv2D(ONE, ONE, (size // 2,) * 4)
    return layer(op, (1, 5, 7, depth), (channels, size, size, depth), 0, seed)


def with_sum(first: Site, kind: type[Add] | type[Sub] = Add, *, reverse: bool = False, itself: bool = False) -> Site:
    y = first.sig.output
    residual, total = int8(y.shape, 0.04, -7), int8((), y.scale * 1.3, 11)
    operands = ("y", "x0" if itself else "b")
    return together(
        first,
        [(kind((-100, 127)), operands[::-1] if reverse else operands, total)],
        **({} if itself else {"b": residual}),
    )


def with_gate(first: Site) -> Site:
    """y * sigmoid(y), requantised."""
    y = first.sig.output
    gate, product = int8((), 1 / 256, -128), int8((), y.scale * 0.9, -30)
    return together(
        first, [(Logistic(), ("y",), gate), (Mul(), ("r0", "y"), product), (Quantize(INT8), ("r1",), int8((), 0.1, 4))]
    )


@pytest.mark.parametrize(("factory", "core"), LINEAR_AND)
@pytest.mark.parametrize("kind", [Add, Sub])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_convolution_and_a_sum(factory: Factory, core, kind, reverse: bool) -> None:
    kernel = check(factory, with_sum(convolution(), kind, reverse=reverse), core)
    assert kernel.overlap[3] == (8 if factory is packed_pixels.linear_and else 2) * 6
    assert kernel.variant.endswith("_sum")


@pytest.mark.parametrize(("factory", "core"), LINEAR_AND)
def test_a_convolution_and_its_own_input(factory: Factory, core) -> None:
    """Which is read twice, so that the result can't replace it."""
    kernel = check(factory, with_sum(convolution(depth=6), itself=True), core)
    assert not kernel.overlap


@pytest.mark.parametrize(("factory", "core"), LINEAR_AND)
def test_functions_behind_a_convolution(factory: Factory, core) -> None:
    first = convolution(depth=16, channels=9, size=1)
    swish = together(first, [(HardSwish(), ("y",), int8((), 0.06, 2))])
    minus = together(first, [(Sub(), ("k", "y"), int8((), 0.2, 2))], k=-77)
    for site in (swish, minus, with_gate(first)):
        assert check(factory, site, core).variant.endswith("_table")


@pytest.mark.parametrize(("factory", "core"), LINEAR_AND)
def test_no_kernel_where_results_are_not_int8(factory: Factory, core) -> None:
    unsigned = TensorType((), UINT8, Quantization.per_tensor(0.1, 128))
    assert factory(together(convolution(), [(Quantize(UINT8), ("y",), unsigned)]), core) is None


@quick
@given(pairs, paddings, clamps, st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_any_convolution(kernel, padding, clamp, depth, channels, seed) -> None:
    op = Conv2D(ONE, ONE, padding, clamp)
    first = layer(op, (1, 7, 8, depth), (channels, *kernel, depth), 0, seed)
    site = with_sum(first) if seed % 2 else with_gate(first)
    taken = [(factory, core, kernel) for factory, core in LINEAR_AND if (kernel := factory(site, core)) is not None]
    compile_together([kernel for *_, kernel in taken])
    for factory, core, _ in taken:
        check(factory, site, core, seed)


def functions() -> list[Site]:
    """Of one value: with a gate, with a constant and to uint8, with itself."""
    unsigned = TensorType((), UINT8, Quantization.per_tensor(0.1, 128))
    t = int8((1, 3, 5, 2), 0.05, 9)
    x = Site(Node("start", Quantize(INT8), ("x0",), ("y",)), Signature((t,), (t,)), (None,))
    product = int8((), 0.3, 1)
    return [
        with_gate(x),
        together(x, [(Mul(), ("y", "k"), product), (Quantize(UINT8), ("r0",), unsigned)], k=50),
        together(x, [(Mul(), ("y", "y"), product)]),
    ]


@pytest.mark.parametrize("index", range(3))
def test_tables_of_functions_of_one_value(index: int) -> None:
    assert check(table, functions()[index]).overlap == {0: 0}


def test_no_table_where_a_constant_differs_by_channel() -> None:
    x = functions()[0]
    t, y = x.sig.input, x.sig.output
    types = {"x": t, "k": int8((2,)), "a": y, "b": y}
    nodes = (Node("a", Mul(), ("x", "k"), ("a",)), Node("b", Logistic(), ("a",), ("b",)))
    graph = Graph("g", ("x",), ("b",), nodes, types, {"k": np.array([3, 4], np.int8)})
    assert table(graph.site(fused(nodes, types)), M3) is None


def sites() -> list[Site]:
    """For the assembly and its C around it: whole and partial groups of channels, both operators, odd pixels."""
    found = list[Site]()
    for channels in (4, 9, 6):
        first = convolution(depth=8, channels=channels, seed=channels)
        found += [with_sum(first), with_gate(first)]
    pointwise = convolution(depth=16, channels=10, size=1)
    found += [with_sum(pointwise, Sub, reverse=True), with_gate(pointwise)]
    clamped = convolution(depth=3, op=Conv2D(ONE, ONE, (1, 1, 1, 1), (0, 127)))
    return [*found, with_sum(clamped), with_gate(clamped), with_sum(convolution(depth=6), itself=True)]


def mve_cases() -> list[tuple[Factory, Site]]:
    return [(mve.linear_and, site) for site in sites()]


def block_cases() -> list[tuple[Factory, Site]]:
    """One technique after the other; a single row has its own."""
    found = [((block.linear_and, packed_pixels.linear_and)[index % 2], site) for index, site in enumerate(sites())]
    return [*found, (block_row.fully_connected_and, with_gate(dense(37, 9, 1, (-128, 127), 0)))]


def woven_cases() -> list[tuple[Factory, Site]]:
    return [(woven.linear_and, site) for site in sites()]


@pytest.mark.parametrize("flags", [("-O2",), *also(("-O1",)), ("-O2", "-DTC_PORTABLE")])
def test_helium(flags: Sequence[str]) -> None:
    check_emulated(mve_cases(), "mps3-an547", *flags)


def test_thumb1() -> None:
    check_emulated(block_cases(), "mps2-an385", isa=M0, core=("-mcpu=cortex-m0plus", "-mthumb"))


def test_rv32() -> None:
    check_emulated(woven_cases(), "qemu-riscv32")


def test_thumb2_without_simd() -> None:
    check_emulated(block_cases(), "mps2-an385")
