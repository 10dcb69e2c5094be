"""Instructions against bytes of flash, over whole models."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.planner.networks import chain
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.planner import Flash, Planned, plan
from tinycompile.planner.flash import BALANCED, SMALL

CHIP = Flash(10_000)


def kernel(variant: str, instructions: int, size: int = 0, scratch: int = 0) -> Kernel:
    """Whose constants have `size` bytes."""
    table = Constant("t", "int8_t", np.zeros(size, np.int8))
    return Kernel(variant, None, (table,) if size else (), scratch, instructions)


def planned(
    options: list[list[Kernel]], optimize: str = "balanced", flash: Flash = CHIP, ram: int = 1 << 20
) -> Planned:
    return plan(chain([64] * (len(options) + 1)), options, ram_limit=ram, optimize=optimize, flash=flash)


def variants(options: list[list[Kernel]], optimize: str = "balanced", flash: Flash = CHIP, ram: int = 1 << 20) -> str:
    return " ".join(each.variant for each in planned(options, optimize, flash, ram).kernels)


@pytest.mark.parametrize(("size", "variant"), [(990, "table"), (1010, "slow")])
def test_a_tenth_of_the_chip_has_to_save_its_share_of_the_instructions(size: int, variant: str) -> None:
    """Of 1,000 instructions, BALANCED times a tenth."""
    slow = kernel("slow", 1000 + BALANCED * 100)
    assert variants([[kernel("table", 1000, size), slow]]) == variant
    assert variants([[kernel("table", 1000, size), slow]], flash=Flash(1_000_000)) == "table"
    assert variants([[kernel("table", 1000, size), slow]], "speed") == "table"


@pytest.mark.parametrize(("saved", "ram", "variant"), [(9, 8000, "coded"), (7, 8000, "plain"), (9, 1000, "plain")])
def test_what_codes_would_save_counts_before_instructions(saved: int, ram: int, variant: str) -> None:
    """If that was asked for, and RAM allows it."""
    plain, coded = replace(kernel("plain", 1000, 600), codable=saved), kernel("coded", 9000, 592, 2000)
    assert variants([[plain, coded]], ram=ram) == variant


@pytest.mark.parametrize(("more", "variant"), [(4001, "table"), (3999, "slow")])
def test_small_firmware_is_measured_by_its_own_bytes(more: int, variant: str) -> None:
    """10 of 510 bytes have to save SMALL times that share of 1,020 instructions, on whatever chip."""
    assert SMALL * 1020 * 10 // 510 == 4000
    for flash in (CHIP, Flash(1 << 30)):
        options = [[kernel("table", 1020, 510), kernel("slow", 1020 + more, 500)]]
        assert variants(options, "size", flash) == variant


@pytest.mark.parametrize("optimize", ["speed", "balanced", "size"])
def test_cycles_count_where_they_are_known(optimize: str) -> None:
    """More instructions in fewer cycles; a kernel without cycles is compared by its instructions."""
    cycles = replace(kernel("pairs", 1000), cycles=700)
    found = planned([[kernel("fewer", 800), cycles, kernel("fewest", 701)]], optimize)
    assert [each.variant for each in found.kernels] == ["pairs"]
    assert found.instructions == 1000
    assert (cycles.repeated(3).instructions, cycles.repeated(3).price) == (3000, 2100)
    assert kernel("k", 5).repeated(3).price == 15


def test_nothing_is_much_slower_for_little_flash() -> None:
    """On random models: never more than 1.3 times the fastest for less than 2 % of the chip's flash."""
    rng = np.random.default_rng(5)
    for _ in range(60):
        options = [
            [kernel("k", int(rng.integers(10, 3000)), int(rng.integers(0, 300))) for _ in range(rng.integers(1, 5))]
            for _ in range(6)
        ]
        fast, found = planned(options, "speed"), planned(options)
        more = sum(k.constant_bytes for k in fast.kernels) - sum(k.constant_bytes for k in found.kernels)
        assert found.instructions <= 1.3 * fast.instructions or more >= 0.02 * CHIP.bytes


def test_what_fits_is_as_fast_as_can_be() -> None:
    """Within a limit on flash; what a common rate leaves over is used. All combinations say what is best."""
    rng = np.random.default_rng(6)
    better = 0
    for _ in range(40):
        options = [
            [kernel("k", int(rng.integers(10, 900)), int(rng.integers(1, 300))) for _ in range(3)] for _ in "abcd"
        ]
        room = int(rng.integers(250, 700))
        fitting = [c for c in product(*options) if sum(k.constant_bytes for k in c) <= room]
        found = planned(options, "speed", Flash(1 << 20, room)).kernels
        size = sum(k.constant_bytes for k in found)
        if not fitting:
            assert size == sum(min(k.constant_bytes for k in each) for each in options)
            continue
        assert size <= room
        least = min(sum(k.instructions for k in c) for c in fitting)
        better += sum(k.instructions for k in found) > 1.1 * least
    assert better <= 4


def test_both_limits_hold() -> None:
    """Fast with scratch; fast without, but with large constants; slow."""
    options = [[kernel("fast", 1, 100, scratch=64), kernel("large", 2, 300), kernel("slow", 9, 100)]]
    flash = Flash(1 << 20, 200)
    assert variants(options, "speed", flash) == "fast"
    assert variants(options, "speed", flash, ram=128) == "slow"
    assert variants(options, "speed", ram=128) == "large"
    options[0].pop()
    assert variants(options, "speed", flash, ram=128) == "large"  # RAM comes first


def test_the_report_says_at_which_rate() -> None:
    reasons = planned([[kernel("table", 1000, 5000), kernel("slow", 1100)]]).reasons
    assert [each.text for each in reasons] == ["what is faster saves fewer than 0.3 instructions for a byte of flash"]


def test_what_a_byte_is_worth_follows_from_what_is_executed_most() -> None:
    """A training step's prediction: the second node is in front of the others."""
    slow = kernel("slow", 1000 + BALANCED * 100)
    options = [[kernel("table", 1000, 990), slow], [kernel("begin", 0)], [kernel("backward", 9000)]]
    assert variants(options).startswith("slow")
    begin = chain([64] * 4).nodes[1].name
    assert variants(options, flash=replace(CHIP, until=begin)).startswith("table")


def test_flash_that_belongs_to_something_else() -> None:
    assert Flash(100).beside(30) == Flash(100)
    assert Flash(100, 50).beside(30) == Flash(100, 20)
    assert Flash(100, 20).beside(30) == Flash(100, 0)
