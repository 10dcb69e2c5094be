"""What kernels say of the functions with long loops, and what waiting for them costs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.test_dsp import layer
from tinycompile.elf import sizes
from tinycompile.ir import Site
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Function, Kernel
from tinycompile.kernels.fetching import CodePlaces, code_of, fetch_waits, priced_code
from tinycompile.kernels.hot_code import HotFunction, Loop, nested
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.resources import runtime_dir
from tinycompile.targets import Cycles, load_board

F407 = load_board("stm32f407")
FLAGS = ("-mcpu=cortex-m4", "-mthumb")
FUNCTION = Function("f", ("const int8_t *input",), "")


def conv(x: tuple[int, ...], w: tuple[int, ...], stride: int = 1, seed: int = 1) -> Site:
    edge = w[1] // 2
    return layer(Conv2D((stride, stride), (1, 1), (edge, edge, edge, edge), (-128, 127)), x, w, 0, seed)


def depthwise(x: tuple[int, ...], window: int) -> Site:
    edge = window // 2
    op = DepthwiseConv2D((1, 1), (1, 1), (edge, edge, edge, edge), (-128, 127))
    return layer(op, x, (1, window, window, x[3]), 3, 1)


LAYERS = (
    conv((1, 16, 16, 16), (32, 3, 3, 16), 2),  # more groups than a function has without a loop
    conv((1, 16, 16, 16), (8, 1, 1, 16), 2),  # two pairs of channels in a round
    conv((1, 9, 7, 24), (8, 1, 1, 24), 2),  # blocks of 3
    conv((1, 8, 8, 40), (8, 1, 1, 40)),
    conv((1, 16, 16, 3), (16, 3, 3, 3)),
    conv((1, 1, 1, 80), (20, 1, 1, 80)),  # rows of a matrix, in two lengths of loops
    conv((1, 16, 16, 16), (16, 3, 3, 16), seed=2),
    depthwise((1, 20, 20, 16), 3),
    depthwise((1, 5, 5, 16), 5),
    depthwise((1, 3, 3, 8), 7),
)


def function_sizes(kernels: Sequence[Kernel], folder: Path) -> dict[str, int]:
    """Bytes of all functions that kernels define, by name."""
    functions = [kernel.function for kernel in kernels if kernel.function]
    headers = dict.fromkeys(header for function in functions for header in function.headers)
    texts = dict.fromkeys(str(text) for function in functions for text in function.preambles)
    source, made = folder / "hot.c", folder / "hot.o"
    source.write_text("\n".join((*(f'#include "{header}"' for header in headers), *texts)))
    command = ["arm-none-eabi-gcc", *FLAGS, "-O3", "-fkeep-static-functions", "-w", "-c", str(source)]
    subprocess.run([*command, "-I", str(runtime_dir()), "-o", str(made)], check=True)
    return dict(sizes(made, ()).functions)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_functions_are_as_large_as_kernels_say(tmp_path: Path) -> None:
    """Of every kind of kernel that counts its loops, in one object file."""
    kernels = [kernel for site in LAYERS for kernel in kernels_of(site, F407.core) if kernel.hot]
    assert {kernel.variant for kernel in kernels} >= {
        *("conv2d_lane_straight", "conv2d_pointwise", "conv2d_strip_straight", "conv2d_winograd", "conv2d_winograd4"),
        *("fully_connected_lane", "fully_connected_long", "depthwise_strips", "depthwise_toeplitz", "depthwise_dense"),
    }
    found = function_sizes(kernels, tmp_path)
    hot = {function.name: function.bytes for kernel in kernels for function in kernel.hot or ()}
    wrong = {n: (size, found[n]) for n, size in hot.items() if not abs(size - found[n]) <= max(100, found[n] // 8)}
    assert not wrong


def made(*loops: Loop, size: int = 4000, **more: Any) -> Kernel:
    hot = (HotFunction("block", size - 800, loops),)
    return replace(Kernel("k", FUNCTION, instructions=90_000, code_bytes=size, hot=hot), **more)


def test_a_loop_that_the_cache_holds_is_fetched_once() -> None:
    """An STM32F407's holds 64 lines of 16 bytes, a line takes 5 cycles that prefetching hides at best."""
    places = CodePlaces(F407.flash)

    def high(kernel: Kernel) -> float:
        return fetch_waits(kernel, places, F407.memory_system, F407.core)[F407.flash].high

    once = 5 * 4000 / 16
    assert high(made(Loop(1000, 9))) == once
    assert high(made(Loop(1600, 9))) == once + 8 * 100 * 5
    assert high(made(Loop(1000, 9, between=600))) == once + 8 * 63 * 5
    assert high(made(*nested(320, 4, 1600, 9))) == once + 8 * 100 * 5, "only the outer loop is too long"
    assert high(made(Loop(1600, 9), calls=3)) == 3 * once + 26 * 100 * 5
    assert high(made(size=1200, hot=None)) == 5 * 75, "nobody has counted: small code has small loops"
    assert high(made(hot=None)) > 100_000


def test_a_copied_function_is_fetched_from_where_it_is() -> None:
    places = CodePlaces(F407.flash, {"block": F407.ram}, {F407.flash: 0.5, F407.ram: 0.5})
    found = fetch_waits(made(Loop(1600, 9)), places, F407.memory_system, F407.core)
    assert found == {F407.ram: Cycles(), F407.flash: Cycles(0, 25 * 5)}


def test_code_costs_its_place_in_ram_or_its_fetches_whichever_is_less() -> None:
    kernel, system, core = made(Loop(1600, 9)), F407.memory_system, F407.core
    function, rest = code_of(kernel)
    assert (function.bytes, rest.bytes, rest.name) == (3200, 800, None)
    flash = (4000 + 8 * 1600) / 16 * 2.5

    def price(byte: float, fast: bool = True) -> float:
        return priced_code(kernel, F407.flash, F407.ram if fast else None, byte, system, core)

    assert price(0, fast=False) == price(9) == flash
    assert price(0) == 0
    assert price(0.5) == 3200 * 0.5 + 800 / 16 * 2.5


def test_windows_at_odd_addresses_are_not_read_as_words_where_only_aligned_ones_may_be() -> None:
    """The function for whole rows is several times as long then; with 4 channels all windows begin at words."""
    for depth, expected in ((3, [True, False]), (4, [True, True])):
        site = conv((1, 16, 16, depth), (16, 3, 3, depth))
        offers = [kernels_of(site, replace(F407.core, strict=strict)) for strict in (False, True)]
        rows = [
            any(h.name.startswith("lane_strip_row") for kernel in each for h in kernel.hot or ()) for each in offers
        ]
        assert rows == expected
