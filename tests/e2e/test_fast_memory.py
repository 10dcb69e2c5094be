"""What start-up copies to memory that the core needn't wait for."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

import tinycompile
from tests.conftest import DIGITS
from tinycompile.codegen.copies import Copy
from tinycompile.codegen.linker import FAR_CALLS_BYTES, linker_script
from tinycompile.copy_choice import Item, Room, choose
from tinycompile.layout import Layout
from tinycompile.options import Options
from tinycompile.pipeline import compile_together
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


def _addresses(elf: Path) -> dict[str, int]:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name.partition(".")[0]: s["st_value"] & ~1 for s in table.iter_symbols() if s["st_value"]}


@pytest.mark.parametrize(("target", "code", "data"), [("stm32f746", "itcm", "dtcm"), ("microbit", "ram", "ram")])
def test_code_and_weights_are_used_in_ram_and_the_results_are_the_same(
    target: str, code: str, data: str, tmp_path: Path
) -> None:
    """In tightly coupled memories, whose places are RAM in QEMU, and on a core whose far calls need the stack."""
    model, samples = DIGITS / "digits_int8.tflite", np.load(DIGITS / "digits_samples.npz")
    limits = {"fast_code": 2000, "fast_weights": 3000, "ram": 12_000}
    build = tinycompile.compile(model, target=target, output=tmp_path / "out", **limits)
    ram, held = build.report["ram"], {memory["name"]: memory["holds"] for memory in build.report["memories"]}
    assert 500 < held[code]["code"] == ram["fast_code_bytes"]
    assert 100 < held[data]["weights"] == ram["fast_weights_bytes"] <= 3000
    assert ram["arena_bytes"] + ram["fast_code_bytes"] + ram["fast_weights_bytes"] <= 12_000
    assert ram["total_bytes"] == sum(ram[f"{part}_bytes"] for part in _PARTS)
    symbols = _addresses(build.elf("firmware.elf"))
    memories = {memory.name: memory for memory in load_board(target).memories}
    inside = {name: [s for s, at in symbols.items() if m.origin <= at < m.end] for name, m in memories.items()}
    assert {layer["function"] for layer in build.report["layers"]}.intersection(inside[code])
    assert any(name.endswith("_weights") for name in inside[data])
    np.testing.assert_array_equal(build.run(samples["input_0"][:3], on="qemu"), samples["output_0"][:3])


def test_functions_of_one_name_in_several_models_all_count(tmp_path: Path) -> None:
    """A model twice: every function is in both object files, and the linker script takes both."""
    models = [tmp_path / f"{name}.tflite" for name in ("first", "second")]
    for model in models:
        model.write_bytes((DIGITS / "digits_int8.tflite").read_bytes())
    found = compile_together(models, Options.of("microbit", fast_code=1500), output=tmp_path / "out")
    assert [400 < build.report["ram"]["fast_code_bytes"] <= 1500 + FAR_CALLS_BYTES for build in found] == [True, True]


def test_code_is_fetched_over_the_code_bus_and_written_over_the_other_one() -> None:
    """An nRF52840 has its RAM at two addresses; the stand-in has no such bus."""
    board = load_board("nrf52840")
    copies = (Copy("code", board.ram, ("f",), 1000), Copy("weights", board.ram, ("w",), 400))
    layout = replace(Layout.simple(board), fast=(board.ram,))
    text = linker_script(board, board, layout, copies=copies)
    size = 1536  # with a quarter and 256 bytes for far calls, in units of 32
    assert f"ORIGIN = {0x0080_0000 + board.ram.bytes - size:#010x}, LENGTH = {size}" in text
    assert f"ORIGIN = 0x20000000, LENGTH = {board.ram.bytes - size}" in text
    assert "LONG(ADDR(.fast_code_ram) + 0x1f800000)" in text and "LONG(ADDR(.fast_weights_ram))" in text
    assert "*(.text.f.*)" in text and "*(.rodata.w)" in text
    assert "RAM_CODE" not in linker_script(board, load_board("mps2-an386"), layout, copies=copies)


_PARTS = ("arena", "scratch", "state", "fast_code", "fast_weights", "stack", "other")
