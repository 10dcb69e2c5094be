"""What layers wait for memories, without a simulation, where the answer can be counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinycompile.kernels.base import Constant, Function, Kernel, Sweeps
from tinycompile.kernels.fetching import CodePlaces
from tinycompile.memory_time import KINDS, Places, Tensors, conflicts, layer_waiting, total
from tinycompile.targets import Cycles, load_board

FUNCTION = Function("f", ("const int8_t *input",), "")
SMALL = Tensors(64, 64)


def kernel(**fields: Any) -> Kernel:
    return Kernel("k", FUNCTION, instructions=10_000, **{"code_bytes": 320, **fields})


def waiting(board: str, found: Kernel, size: int, tensors: Tensors = SMALL, where: str = "flash") -> dict[str, Cycles]:
    loaded = load_board(board)
    places = {m.name: m for m in loaded.memories}
    parts = Places(CodePlaces(loaded.flash), {places[where]: size}, places["ram"])
    tensors = replace(tensors, parts={places["ram"]: 1.0})
    return layer_waiting(found, 1_000, tensors, parts, loaded.memory_system, loaded.core)


def test_memories_that_cost_nothing_make_nobody_wait() -> None:
    assert waiting("mps2-an386", kernel(), 4096) == dict.fromkeys(KINDS, Cycles())
    assert waiting("stm32f746", replace(kernel(), function=None), 4096) == dict.fromkeys(KINDS, Cycles())


def test_constants_are_filled_once_or_by_each_sweep() -> None:
    fits, thrashes = (waiting("stm32f746", kernel(sweeps=Sweeps(9)), size) for size in (2048, 64 * 1024))
    assert fits["constants"] == Cycles(64 * 14, 64 * 14)
    assert thrashes["constants"] == Cycles(9 * 2048 * 14, 9 * 2048 * 14)
    pieces = waiting("stm32f746", kernel(sweeps=Sweeps(9, 2048)), 64 * 1024)
    assert pieces["constants"] == Cycles(2048 * 14, 2048 * 14)
    twice = waiting("stm32f746", replace(kernel(sweeps=Sweeps(9)), calls=2), 2048)
    assert twice["constants"] == fits["constants"] * 2


def test_constants_without_a_cache_cost_each_read() -> None:
    assert waiting("nrf52840", kernel(sweeps=Sweeps(9)), 4000)["constants"] == Cycles(9 * 2000, 9 * 3000)


def test_external_constants_are_read_ahead_while_instructions_run() -> None:
    found = waiting("stm32f746", kernel(sweeps=Sweeps(1)), 32 * 1000, where="qspi")["external"]
    assert found.high == pytest.approx(321 + 999 * 192, rel=1e-3)
    assert found.low == pytest.approx(found.high - 6500, rel=1e-3)


def test_code_is_fetched_once_unless_its_loops_are_larger_than_the_cache() -> None:
    once, always = (waiting("stm32f746", kernel(code_bytes=size), 0)["fetch"] for size in (3200, 32_000))
    assert once == Cycles(1400, 1400)
    assert always.high > 14 * 10_000 * 3.7 / 32
    ahead = waiting("stm32f407", kernel(code_bytes=32_000), 0)["fetch"]
    assert ahead.low == 0 < ahead.high  # the accelerator fetches the next line while this one is executed


def test_tensors_are_filled_once_or_by_each_group_of_channels() -> None:
    large = Tensors(64 * 1024, 64 * 1024, 64, 64, 32)
    assert waiting("stm32h743", kernel(), 0, SMALL)["activations"] == Cycles()
    once = waiting("stm32h743", kernel(), 0, large)["activations"]
    assert once == Cycles(2048 * 14, 2048 * 18 * 3)  # loads; stores and lines written back are hidden at best
    often = waiting("stm32h743", replace(kernel(), operand_sweeps=16, result_sweeps=64), 0, large)["activations"]
    assert often.low == pytest.approx(8 * once.low, rel=0.01)
    assert waiting("stm32f407", kernel(), 0, large)["activations"] == Cycles()


def test_working_memory_is_swept_for_each_pair_of_channels() -> None:
    made = Tensors(64, 64, 64, 16, 8)
    walks = [Sweeps(4, None, between) for between in (32 * 1024, 1024)]
    large, small = (waiting("stm32h743", kernel(sweeps=walk), 0, made)["activations"] for walk in walks)
    assert small == large == Cycles()  # nothing is swept without constants
    weights = (Constant("weights", "int8_t", np.zeros(2048, np.int8)),)
    large, small = (
        waiting("stm32h743", kernel(sweeps=walk, constants=weights), 2048, made)["activations"] for walk in walks
    )
    assert large.low == pytest.approx(4 * 8 * 1024 * 14, rel=0.1)  # 4 sweeps, 8 pairs, each of 1024 lines
    assert small.low < 0.1 * 4 * 8 * 32 * 14


def test_conflicts_grow_with_what_is_read() -> None:
    cache = load_board("stm32h743").caches[1]
    parts = [conflicts(cache, size) for size in (0, 4096, 16384, 65536)]
    assert parts == sorted(parts) and parts[0] == pytest.approx(0) and parts[1] < 0.05 and parts[3] > 0.99


def test_total_is_by_kind() -> None:
    found = waiting("stm32f746", kernel(sweeps=Sweeps(1)), 2048)
    assert total([found, found])["constants"] == found["constants"] * 2
