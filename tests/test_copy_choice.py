"""Kernels and copies of their functions are one choice: code for which there is no room is chosen with its fetches."""

from __future__ import annotations

import pytest

from tests.kernels.test_dsp import layer
from tinycompile.copy_choice import Estimate, Room, Used, byte_prices, planned_items
from tinycompile.ir import Graph
from tinycompile.kernels.fetching import code_of
from tinycompile.layout import Layout
from tinycompile.lowering import place
from tinycompile.ops.conv2d import Conv2D
from tinycompile.options import Options
from tinycompile.plans import Plans
from tinycompile.targets import load_board

BOARDS = {name: load_board(name) for name in ("stm32f407", "nrf52840", "mps2-an386")}


def graph() -> Graph:
    """A layer whose block function for its shape has 1.6 KB, which an STM32F407's cache of 1 KiB never holds."""
    site = layer(Conv2D((2, 2), (1, 1), (1, 1, 1, 1), (-128, 127)), (1, 8, 8, 32), (64, 3, 3, 32), 0, 1)
    types = dict(zip(site.node.inputs, site.sig.inputs, strict=True)) | {site.node.outputs[0]: site.sig.output}
    constants = {n: c for n, c in zip(site.node.inputs, site.constants, strict=True) if c is not None}
    return Graph("g", (site.node.inputs[0],), site.node.outputs, (site.node,), types, constants)


def placed(board: str, **options: object) -> tuple[str, Estimate]:
    """The kernel's name and what of it is copied."""
    chosen = Options.of(board, optimize="speed", **options)  # type: ignore[arg-type]
    planned, layout = place([Plans(graph(), BOARDS[board], chosen)], BOARDS[board], chosen)
    return planned[0].kernels[0].variant, Estimate.of(planned, layout, BOARDS[board], chosen)


@pytest.mark.parametrize(("limit", "straight"), [("auto", True), (4096, True), (900, False), (0, False)])
def test_a_function_that_is_fetched_again_and_again_is_copied_or_not_chosen(limit: int | str, straight: bool) -> None:
    kernel, found = placed("stm32f407", fast_code=limit)
    assert ("straight" in kernel) == straight
    assert any(item.symbol.startswith("lane_straight") for item, _ in found.chosen) == straight
    assert isinstance(limit, str) or found.bytes["code"] <= limit


@pytest.mark.parametrize("board", ["nrf52840", "mps2-an386"])
def test_where_a_cache_holds_its_loops_it_is_chosen_without_a_copy(board: str) -> None:
    kernel, found = placed(board, fast_code=0)
    assert "straight" in kernel
    assert found.bytes["code"] == 0


def test_a_price_of_bytes_makes_kernels_with_less_code() -> None:
    board, options = BOARDS["stm32f407"], Options.of("stm32f407", optimize="speed")
    plans, layout = Plans(graph(), board, options), Layout.simple(board)
    hot = list[int]()
    for byte in (0.0, 16.0, 64.0):
        found = plans.priced(byte).layers(board.ram.bytes, None)
        room = Room.of(board, layout, options, Used.by([found]))
        assert planned_items(found, layout, board, room)
        hot.append(sum(code.bytes for kernel in found.kernels for code in code_of(kernel) if code.name))
    assert hot == sorted(hot, reverse=True)
    assert hot[0] > 1500 and hot[-1] == 0


def test_a_byte_costs_nothing_where_it_was_asked_for_and_little_where_only_speed_counts() -> None:
    layout = Layout.simple(BOARDS["stm32f407"])

    def price(**options: object) -> float:
        return byte_prices(Options.of("stm32f407", **options), layout)["code"]  # type: ignore[arg-type]

    assert 0 == price(fast_code=100) < price(optimize="speed") < price(optimize="balanced")
