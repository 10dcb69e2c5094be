"""From graphs with kernels to plans: storage, in-place execution, the choice of kernels, errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.networks import chain, kernel, network, residual_blocks
from tests.support.cores import core_named
from tinycompile.errors import DoesNotFitError
from tinycompile.ir import verify
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.planner import Planned, plan
from tinycompile.planner.choose import place
from tinycompile.planner.problem import Overlap
from tinycompile.planner.values import Values

IN_PLACE = kernel(overlap={0: 0})


def constants(size: int, instructions: int) -> Kernel:
    return Kernel("test", None, (Constant("w", "int8_t", np.zeros(size, np.int8)),), instructions=instructions)


def fastest(planned: Planned) -> int:
    return sum(k.instructions for k in planned.kernels)


def test_an_in_place_chain_needs_one_buffer() -> None:
    planned = plan(chain([64] * 5), [[IN_PLACE]] * 4, ram_limit=None, optimize="speed")
    assert planned.arena_bytes == planned.lower_bound_bytes == 64
    assert set(planned.offsets.values()) == {0}


def test_without_permission_nothing_is_shared() -> None:
    planned = plan(chain([64] * 5), [[kernel()]] * 4, ram_limit=None, optimize="speed")
    assert planned.arena_bytes == 128


@pytest.mark.parametrize(
    ("edges", "outputs"),
    [
        ({"y": ("x",), "z": ("x", "y")}, ["z"]),  # x is read later
        ({"y": ("x",), "z": ("y",)}, ["x", "z"]),  # x is an output
        ({"y": ("x", "x"), "z": ("y",)}, ["z"]),  # x is read twice at once
    ],
)
def test_an_operand_that_is_needed_is_not_overwritten(edges: dict[str, tuple[str, ...]], outputs: list[str]) -> None:
    graph = network({"x": 64, "y": 64, "z": 64}, edges, outputs)
    kernels = [IN_PLACE, kernel()]
    assert not Values(graph, [[k] for k in kernels]).problem(kernels).overlaps


def test_a_kernel_works_in_place_only_where_nobody_reads_its_operand_later() -> None:
    graph = network(dict.fromkeys("xabcd", 16), {"a": "x", "b": "a", "c": "a", "d": "c"}, ["b", "d"])
    kernels = [kernel(in_place=True)] * 4
    values = Values(graph, [[k] for k in kernels])
    pairs = [("x", "a"), ("a", "c"), ("c", "d")]
    assert values.problem(kernels).overlaps == tuple(Overlap(upper, lower, 0, exact=True) for upper, lower in pairs)
    placed = place(values, kernels)
    assert placed.arena_bytes == placed.lower_bound_bytes == 32
    assert placed.offsets["x"] == placed.offsets["a"] == placed.offsets["c"] == placed.offsets["d"]


def test_an_input_stays_until_its_last_reader() -> None:
    graph = network({"a": 64, "b": 64, "y": 64, "z": 64}, {"y": ("a",), "z": ("y", "b")}, ["z"])
    buffers = {b.name: b for b in Values(graph, [[IN_PLACE], [IN_PLACE]]).buffers}
    assert (buffers["b"].first, buffers["b"].last) == (0, 2)
    assert (buffers["z"].first, buffers["z"].last) == (1, 3)


def test_aliases_share_storage_and_lifetime() -> None:
    graph = network({"x": 64, "y": 64, "z": 8, "w": 8}, {"y": ("x",), "z": ("x",), "w": ("y", "z")}, ["w"])
    planned = plan(graph, [[kernel(), kernel(0, alias_of=0)], [kernel()], [kernel()]], ram_limit=None, optimize="speed")
    assert planned.offsets["x"] == planned.offsets["y"]
    assert planned.arena_bytes == 80


def test_operands_of_a_concatenation_lie_in_its_result() -> None:
    graph = network({"x": 16, "a": 32, "b": 64, "c": 96}, {"a": ("x",), "b": ("x",), "c": ("a", "b")}, ["c"])
    join = kernel(0, parts={0: 0, 1: 32})
    planned = plan(graph, [[kernel()], [kernel()], [kernel(100), join]], ram_limit=None, optimize="speed")
    assert planned.kernels[2] is join
    assert planned.offsets["a"] == planned.offsets["c"] == planned.offsets["b"] - 32
    assert planned.arena_bytes == planned.lower_bound_bytes == 112


def test_concatenations_nest() -> None:
    sizes = {"x": 8, "a": 16, "b": 16, "c": 32, "d": 8, "e": 40}
    graph = network(sizes, {"a": ("x",), "b": ("x",), "c": ("a", "b"), "d": ("x",), "e": ("d", "c")}, ["e"])
    inner, outer = kernel(0, parts={0: 0, 1: 16}), kernel(0, parts={0: 0, 1: 8})
    planned = plan(graph, [[kernel()], [kernel()], [inner], [kernel()], [outer]], ram_limit=None, optimize="speed")
    at = {name: offset - planned.offsets["e"] for name, offset in planned.offsets.items()}
    assert (at["d"], at["c"], at["a"], at["b"]) == (0, 8, 8, 24)
    assert planned.arena_bytes == planned.lower_bound_bytes == 48


@pytest.mark.parametrize("operands", [("a", "a"), ("a", "x"), ("a", "copy")])
def test_a_concatenation_copies_where_its_operands_cannot_lie_in_it(operands: tuple[str, str]) -> None:
    """Twice the same value, a misaligned one, two names of one storage."""
    sizes = {"x": 30, "a": 32, "copy": 32, "c": 64}
    graph = network(sizes, {"a": ("x",), "copy": ("a",), "c": operands}, ["c"])
    join = kernel(0, parts={0: 0, 1: 30 if "x" in operands else 32})
    kernels = [[kernel()], [kernel(0, alias_of=0)], [join, kernel(100)]]
    planned = plan(graph, kernels, ram_limit=None, optimize="speed")
    assert [k.instructions for k in planned.kernels if k.alias_of != 0][-1] == 100


def test_the_narrow_branch_goes_first() -> None:
    """Both orders are valid; the one that leaves only a small result behind needs less."""
    sizes = {"x": 8, "wide": 800, "thick": 400, "w": 8, "t": 8, "y": 8}
    edges = {"wide": ("x",), "thick": ("x",), "w": ("wide",), "t": ("thick",), "y": ("w", "t")}
    graph = network(sizes, edges, ["y"])
    planned = plan(graph, [[kernel()]] * 5, ram_limit=None, optimize="speed")
    verify(planned.graph)
    assert planned.order_optimal
    assert [n.name for n in planned.graph.nodes] != [n.name for n in graph.nodes]
    assert planned.arena_bytes == 816


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.data())
def test_the_choice_within_a_limit_is_the_cheapest(data: st.DataObject) -> None:
    """Against every selection: fewest instructions under a limit, smallest arena for "ram"."""
    count = data.draw(st.integers(1, 4))
    graph = chain([8 * data.draw(st.integers(1, 6)) for _ in range(count + 1)])
    options = [
        [
            kernel(
                data.draw(st.integers(0, 20)),
                8 * data.draw(st.integers(0, 6)),
                overlap={0: 8 * data.draw(st.integers(-2, 6))} if data.draw(st.booleans()) else {},
            )
            for _ in range(data.draw(st.integers(1, 3)))
        ]
        for _ in range(count)
    ]
    values = Values(graph, options)
    every = [
        (sum(k.instructions for k in kernels), place(values, kernels).arena_bytes)
        for kernels in itertools.product(*options)
    ]
    smallest = min(arena for _, arena in every)
    limit = smallest + 8 * data.draw(st.integers(0, 5))
    found = plan(graph, options, ram_limit=limit, optimize="speed")
    assert found.arena_bytes <= limit
    assert found.proved_best
    assert fastest(found) == min(cost for cost, arena in every if arena <= limit)
    lean = plan(graph, options, ram_limit=None, optimize="ram")
    assert (lean.arena_bytes, fastest(lean)) == min((arena, cost) for cost, arena in every)
    with pytest.raises(DoesNotFitError, match=f"it fits from {smallest:,} bytes"):
        plan(graph, options, ram_limit=smallest - 1, optimize="speed")


def test_reasons() -> None:
    graph = chain([64, 64, 64])
    options = [[kernel(10, scratch=64), kernel(50)], [kernel(5)]]
    fast = plan(graph, options, ram_limit=None, optimize="speed")
    assert tuple(reason.text for reason in fast.reasons) == ("fewest instructions", "the only kernel for it")
    assert fast.squeezed == 0
    for lean in (
        plan(graph, options, ram_limit=130, optimize="speed"),
        plan(graph, options, ram_limit=None, optimize="ram"),
    ):
        assert lean.reasons[0].text == "needs less RAM than the fastest"
        assert lean.squeezed == 1


def test_the_error_names_what_is_live_and_what_would_do() -> None:
    graph = chain([1000, 3000, 2000])
    with pytest.raises(DoesNotFitError) as error:
        plan(graph, [[kernel()], [kernel(scratch=16)]], ram_limit=4096, optimize="speed")
    assert "'v1' (3,000 bytes)" in str(error.value)
    assert "'v2' (2,000 bytes)" in str(error.value)
    assert "needs at least 5,016 bytes of RAM, 4,096 are there" in str(error.value)


def test_a_thousand_nodes() -> None:
    graph = residual_blocks(334, [900, 2000, 700])
    in_place_sum = kernel(overlap={0: 0, 1: 0})
    options = [[kernel(5, 400, overlap={0: 100}), kernel(9, 0, overlap={0: 50})], [IN_PLACE], [in_place_sum]] * 334
    fast = plan(graph, options, ram_limit=None, optimize="speed")
    lean = plan(graph, options, ram_limit=fast.arena_bytes - 8, optimize="speed")
    for planned in (fast, lean):
        assert planned.arena_bytes == planned.lower_bound_bytes
        assert planned.order_optimal
    assert fastest(fast) < fastest(lean)


def test_real_models_have_no_gap(shared) -> None:
    from tinycompile.frontend import load
    from tinycompile.kernels import kernels_for
    from tinycompile.passes import optimize

    for path in sorted(shared("models").glob("*.tflite")):
        graph = optimize(load(path))
        options = kernels_for(graph, core_named("cortex-m7", dsp=True))
        for mode in ("speed", "ram"):
            planned = plan(graph, options, ram_limit=None, optimize=mode)
            assert planned.arena_bytes == planned.lower_bound_bytes, path.name
            assert planned.order_optimal, path.name
            assert planned.proved_best, path.name
