"""Kernels priced with what they wait for a board's memories, and which that copy their constants are offered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.kernel_checks import M7
from tinycompile.ir import Graph
from tinycompile.kernels import copying_kernels_of, kernels_of
from tinycompile.kernels.base import Constant, Function, Kernel, Sweeps
from tinycompile.kernels.staged import copy_work
from tinycompile.kernels.waiting import ahead_wait, streamed, swept, with_stalls
from tinycompile.layout import CODE_BYTES, cold_constants
from tinycompile.ops.conv2d import Conv2D
from tinycompile.options import Options
from tinycompile.plans import Plans
from tinycompile.targets import Board, load_board
from tinycompile.typical import typical, typical_kernels_of
from tinycompile.with_memories import CodePrice, WithMemories, external_nodes, worthwhile

F746 = load_board("stm32f746")
NRF = load_board("nrf52840")
EXTERNAL = F746.external_flash
SDRAM = next(memory for memory in F746.memories if memory.name == "sdram")


def made(size: int, sweeps: Sweeps | None = None, copies: Sweeps | None = None, **more) -> Kernel:
    function = Function(f"f{size}", ("const int8_t *input",), "    (void)input;\n")
    constants = (Constant("w", "int32_t", np.zeros(size // 4, np.int32)),)
    return Kernel("test", function, constants, code_bytes=1000, sweeps=sweeps, copies=copies, **more)


def pointwise(pixels: int = 144, depth: int = 64, channels: int = 128) -> Graph:
    """A layer whose weights no small cache holds."""
    site = layer(Conv2D(), (1, 12, pixels // 12, depth), (channels, 1, 1, depth), 0, 0)
    types = dict(zip(site.node.inputs, site.sig.inputs, strict=True)) | {site.node.outputs[0]: site.sig.output}
    constants = {n: c for n, c in zip(site.node.inputs, site.constants, strict=True) if c is not None}
    return Graph("g", (site.node.inputs[0],), site.node.outputs, (site.node,), types, constants)


def test_a_sweep_over_more_than_the_cache_misses_every_time():
    system = F746.memory_system
    assert EXTERNAL is not None
    once = swept(system, EXTERNAL, 32768, Sweeps(1))
    assert swept(system, EXTERNAL, 32768, Sweeps(12)) == pytest.approx(12 * once, rel=0.01)
    assert swept(system, EXTERNAL, 32768, Sweeps(12, 1024)) == once, "a cache holds a piece"
    flash = NRF.flash.access
    assert flash is not None
    assert swept(NRF.memory_system, NRF.flash, 400, Sweeps(3)) == 300 * flash.read.middle
    assert swept(system, EXTERNAL, 0, Sweeps(3)) == 0


def test_what_nobody_has_counted_is_read_for_each_product():
    kernel = with_stalls(made(400), 1200, NRF.memory_system, NRF.flash, NRF.ram)
    assert kernel.stalls == swept(NRF.memory_system, NRF.flash, 400, Sweeps(3))


def test_weights_that_come_ahead_hide_behind_the_work_or_the_work_behind_them():
    assert EXTERNAL is not None
    system, copied = F746.memory_system, copy_work(8000).cycles
    stream = streamed(system, EXTERNAL, 8000)
    fast, slow = (made(8000, Sweeps(1), Sweeps(1, 2000), ahead=True, cycles=c + copied) for c in (10, 10**6))
    for kernel, expected in ((slow, stream / 4), (fast, stream - 3 * 10 / 4)):
        assert ahead_wait(kernel, 8000, system, EXTERNAL) == pytest.approx(max(0, expected - copied))
    four = with_stalls(fast, 0, system, EXTERNAL, F746.ram, bits=4).stalls
    assert four < with_stalls(fast, 0, system, EXTERNAL, F746.ram).stalls / 1.8
    assert ahead_wait(replace(fast, copies=None), 8000, system, EXTERNAL) == 0


def test_stalls_are_part_of_the_price_of_every_call():
    kernel = with_stalls(made(400, Sweeps(3), instructions=1000), 0, NRF.memory_system, NRF.flash, NRF.ram)
    assert kernel.price == 1000 + kernel.stalls > 1000
    assert kernel.repeated(5).price == 5 * kernel.price


def test_only_what_costs_less_than_all_with_as_little_ram_is_worth_a_thought():
    plain = [Kernel("a", None, scratch_bytes=0, instructions=100)]
    others = [
        Kernel(str(n), None, scratch_bytes=s, instructions=i)
        for n, (s, i) in enumerate([(8, 100), (8, 90), (16, 95), (16, 80)])
    ]
    assert [k.variant for k in worthwhile(others, plain)] == ["1", "3"]
    large = [replace(kernel, code_bytes=1000) for kernel in others[1:2]]
    assert [k.variant for k in worthwhile([*large, others[0]], [])] == ["1", "0"], "slower, in less flash"
    assert [k.variant for k in worthwhile([*large, *others], plain)] == ["1", "3"], "and faster in less flash"


@pytest.mark.parametrize("board", [load_board("mps2-an500"), load_board("host")], ids=lambda board: board.name)
def test_boards_whose_memories_cost_nothing_have_the_kernels_of_every_board(board: Board):
    assert WithMemories.of(kernels_of, pointwise(), board, CodePrice()) is kernels_of


def planned(board: Board, **options):
    return Plans(pointwise(), board, Options(**options)).layers(board.ram.bytes, None)


def test_a_layer_reads_its_weights_once_where_ram_may_be_spent():
    for board, options in ((NRF, {"optimize": "speed"}), (F746, {"ram": 100000})):
        (kernel,) = planned(board, **options).kernels
        assert kernel.sweeps == Sweeps(1)
        assert "copied" in kernel.notes["weights"] or "once" in kernel.notes["weights"]
        assert "waiting" in kernel.notes["instead of"]


def test_otherwise_a_copy_takes_no_ram_that_the_arena_does_not_have():
    lean = Plans(pointwise(), load_board("mps2-an386"), Options()).layers(NRF.ram.bytes, None)
    found = planned(NRF)
    assert found.arena_bytes <= lean.arena_bytes
    assert not found.squeezed, "the limit was a choice, which more memory wouldn't change"


def test_constants_that_are_read_once_leave_the_flash_before_those_that_are_read_often():
    board = replace(
        F746,
        memories=tuple(replace(m, bytes=CODE_BYTES + 60000) if m == F746.flash else m for m in F746.memories),
    )
    often, once = made(40000, Sweeps(50)), made(36000, Sweeps(1))
    assert cold_constants(board, [often, once], [1, 10**9]) == {*once.constants}


def test_which_nodes_will_be_in_external_flash_is_told_before_planning():
    graph = pointwise()
    small = replace(F746, memories=tuple(replace(m, bytes=CODE_BYTES) if m == F746.flash else m for m in F746.memories))
    assert external_nodes(graph, small) == {graph.nodes[0].name}
    assert not external_nodes(graph, F746)
    assert not external_nodes(graph, NRF)


def test_copies_that_nobody_wants_are_those_that_are_missing():
    graph = pointwise()
    site = graph.site(graph.nodes[0])
    kernels = kernels_of(site, M7)
    asked = list[tuple[int, int, int]]()

    def beaten(work: int, scratch: int, flash: int) -> bool:
        asked.append((work, scratch, flash))
        return scratch > 20_000

    def figures(kernel: Kernel) -> tuple[int, int, int]:
        work = kernel.instructions if kernel.cycles is None else kernel.cycles
        return work, kernel.scratch_bytes, kernel.constant_bytes + kernel.code_bytes

    copies = [figures(k) for k in copying_kernels_of(site, M7, kernels)]
    some = [figures(k) for k in copying_kernels_of(site, M7, kernels, beaten=beaten)]
    assert asked == copies
    assert some == [each for each in copies if each[1] <= 20_000] != copies


def test_functions_of_prices_that_are_kept_are_those_of_the_kernels():
    graph = pointwise(depth=16)
    site = graph.site(graph.nodes[0])
    kept, own = (WithMemories.of(offer, graph, F746, CodePrice()) for offer in (typical_kernels_of, kernels_of))
    functions = [
        [kernel.function for kernel in kept(site, F746.core)],
        [k.function for k in own(typical(site), F746.core)],
    ]
    assert functions[0] == functions[1] and any(f is not None and "staged" in f.stem for f in functions[0])


def test_a_function_is_made_when_more_than_its_name_is_asked_for():
    made = list[Function]()

    def make() -> Function:
        made.append(Function("f", ("int8_t *output",), "    return;\n", ("kernels/tc_align.h",)))
        return made[-1]

    function = Function.later("f", ("int8_t *output",), make)
    assert function.stem == "f" and function.parameters == ("int8_t *output",) and not made
    assert not function.is_made and function == make() and function.is_made
    assert function.headers == ("kernels/tc_align.h",) and function.all_called == (function,)
    assert len(made) == 2 and hash(function) == hash(made[0])
    assert not hasattr(function, "name")
    twice = Function.later("f", ("int8_t *output",), lambda: Function.later("f", ("int8_t *output",), make))
    assert {twice: 1}[function] == 1 and twice.body == "    return;\n"


def test_every_kernel_with_whole_words_has_a_copying_one():
    site = layer(Conv2D(), (1, 4, 5, 6), (8, 1, 1, 6), 0, 0)
    kernels = kernels_of(site, M7)
    variants = {kernel.variant for kernel in copying_kernels_of(site, M7, kernels)}
    assert {"conv2d_pointwise_staged", "conv2d_lane_staged"} <= variants
