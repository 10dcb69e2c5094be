"""What start-up copies to memory that the core needn't wait for."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

import tinycompile
from tests.conftest import DIGITS
from tinycompile.fast_memory import Item, Room, choose
from tinycompile.targets import Memory, load_board

TIGHT = Memory("tight", 0, 256)
WIDE = Memory("wide", 0x2000_0000, 1024)


def _random_items(random_numbers: random.Random) -> list[Item]:
    kinds = ("code", "weights")
    return [
        Item(
            kinds[index % 2],
            f"symbol{index}",
            8 * random_numbers.randrange(1, 30),
            {TIGHT: random_numbers.uniform(-50, 900), WIDE: random_numbers.uniform(-50, 600)},
        )
        for index in range(6)
    ]


def _gain(chosen: list[tuple[Item, Memory]], prices: dict[str, float]) -> float:
    return sum(item.saved[memory] - prices[item.kind] * item.bytes for item, memory in chosen)


def _fits(chosen: list[tuple[Item, Memory]], room: Room) -> bool:
    sizes = [(item.bytes, item.kind, memory) for item, memory in chosen]
    return (
        sum(size for size, _, _ in sizes) <= room.total
        and all(sum(s for s, _, m in sizes if m == memory) <= most for memory, most in room.memories.items())
        and all(sum(s for s, k, _ in sizes if k == kind) <= most for kind, most in room.kinds.items())
    )


@pytest.mark.parametrize("seed", range(8))
def test_no_other_choice_within_the_limits_saves_more(seed: int) -> None:
    numbers = random.Random(seed)  # noqa: S311 - a fixed sequence, nothing secret
    items = _random_items(numbers)
    room = Room({TIGHT: 256, WIDE: 400}, numbers.choice([300, 2000]), numbers.choice([{}, {"code": 200}]))
    prices = {"code": 1.0, "weights": numbers.choice([0.0, 1.0])}
    chosen = choose(items, room, prices)
    assert _fits(chosen, room)
    assert len({item.symbol for item, _ in chosen}) == len(chosen)
    best = 0.0
    for places in product((None, TIGHT, WIDE), repeat=len(items)):
        other = [(item, memory) for item, memory in zip(items, places, strict=True) if memory is not None]
        if _fits(other, room):
            best = max(best, _gain(other, prices))
    assert _gain(chosen, prices) == pytest.approx(best, abs=0.01)


def test_what_saves_nothing_stays() -> None:
    room = Room({WIDE: 1024}, 1024, {})
    assert choose([Item("code", "f", 8, {WIDE: 0.0})], room, {"code": 0.0}) == []
    assert choose([Item("code", "f", 8, {WIDE: 7.0})], room, {"code": 1.0}) == []
    assert len(choose([Item("code", "f", 8, {WIDE: 9.0})], room, {"code": 1.0})) == 1


def _ranges(elf: Path) -> dict[str, tuple[int, int]]:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name.partition(".")[0]: (s["st_value"] & ~1, s["st_size"]) for s in table.iter_symbols()}


def test_code_and_weights_run_from_ram_and_the_results_are_the_same(tmp_path: Path) -> None:
    """Code in the instruction TCM, weights in the data TCM, whose places are RAM in QEMU; far calls both ways."""
    model, samples = DIGITS / "digits_int8.tflite", np.load(DIGITS / "digits_samples.npz")
    x, expected = samples["input_0"][:3], samples["output_0"][:3]
    build = tinycompile.compile(model, target="stm32f746", output=tmp_path / "out", fast_code=6000, ram=40_000)
    report, board = build.report, load_board("stm32f746")
    held = {memory["name"]: memory["holds"] for memory in report["memories"]}
    ram = report["ram"]
    assert 1000 < held["itcm"]["code"] == ram["fast_code_bytes"]
    assert 100 < held["dtcm"]["weights"] == ram["fast_weights_bytes"]
    assert ram["arena_bytes"] + ram["fast_code_bytes"] + ram["fast_weights_bytes"] <= 40_000
    symbols = _ranges(build.elf("firmware.elf"))
    places = {name: next(m for m in board.memories if m.name == name) for name in ("itcm", "dtcm")}
    layers = {layer["function"] for layer in report["layers"] if layer["function"] in symbols}
    inside = {name for name in layers if symbols[name][0] < places["itcm"].end}
    weights = {
        n for n, (at, _) in symbols.items() if n.endswith("_weights") and at >> 16 == places["dtcm"].origin >> 16
    }
    assert inside and weights
    assert ram["total_bytes"] == sum(ram[f"{part}_bytes"] for part in _PARTS)
    np.testing.assert_array_equal(build.run(x, on="qemu"), expected)


_PARTS = ("arena", "scratch", "state", "fast_code", "fast_weights", "stack", "other")
