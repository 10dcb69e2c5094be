"""The simulated caches against a model of their own, and what is made of their counts."""

from __future__ import annotations

import subprocess
from collections import Counter, OrderedDict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from tests.conftest import ROOT
from tinycompile.build import Build
from tinycompile.profile import waiting
from tinycompile.profile.waiting import FIELDS, Region, options_of, parse, regions_of, waiting_of
from tinycompile.report.timing import assumptions
from tinycompile.targets import Cycles, load_board

DRIVER = r"""
#include "caches.c"
/* As if QEMU had them: nothing is registered, blocks don't exist. */
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*f)(plugin_id, struct qemu_plugin_tb *)) {}
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *t, void (*f)(unsigned, void *), enum register_use u,
                                          void *p) {}
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *i, void (*f)(unsigned, uint32_t, uint64_t, void *),
                                      enum register_use u, enum access_kind k, void *p) {}
void qemu_plugin_register_atexit_cb(plugin_id id, void (*f)(plugin_id, void *), void *p) {}
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *t) { return 0; }
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *t, size_t i) { return NULL; }
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *t) { return 0; }
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *i) { return 2; }
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *i) { return 0; }
unsigned qemu_plugin_mem_size_shift(uint32_t info) { return info >> 1; }
bool qemu_plugin_mem_is_store(uint32_t info) { return info & 1; }

int main(int argc, char **argv)
{
    unsigned long address, info;
    if (qemu_plugin_install(0, NULL, argc - 1, argv + 1) != 0) return 1;
    inside = true;
    return_address = 1; /* never reached */
    here = find_place(0x10);
    while (scanf("%lx %lx", &address, &info) == 2) {
        if (info == 99) { /* a block of 20 bytes and 8 instructions */
            struct block block = {address, address + 20, 8, true, here};
            on_run(0, &block);
            last = NULL;
            executed += 8;
        } else {
            on_access(0, (uint32_t)info, address, NULL);
        }
    }
    on_exit_of_qemu(0, NULL);
    return 0;
}
"""


class Lru:
    """A cache as its definition has it."""

    def __init__(self, size: int, ways: int, line: int) -> None:
        self.line, self.ways = line, ways
        self.sets = [OrderedDict[int, tuple[str, bool]]() for _ in range(size // ways // line)]

    def touch(self, begin: int, end: int, region: str, store: bool, found: Counter[str], kind: str) -> None:
        for line in range(begin // self.line, (end - 1) // self.line + 1):
            held = self.sets[line % len(self.sets)]
            dirty = line in held and held[line][1]
            if line in held:
                del held[line]
            else:
                found[f"{region} {kind}"] += 1
                if len(held) == self.ways:
                    _, (other, was) = held.popitem(last=False)
                    found[f"{other} write_backs"] += was
            held[line] = (region, dirty or store)


@pytest.mark.parametrize("common", [False, True])
def test_the_plugin_against_the_definition_of_a_cache(common: bool, tmp_path: Path) -> None:
    (tmp_path / "driver.c").write_text(DRIVER)
    source = ROOT / "tinycompile" / "profile"
    subprocess.run(["cc", "-w", "-I", source, "driver.c", "-o", "driver"], cwd=tmp_path, check=True)
    rng = np.random.default_rng(5)
    places = rng.choice([0x1000, 0x20000], 4000) + 2 * rng.integers(600, size=4000)
    accesses = list(zip(places.tolist(), rng.choice([0, 1, 2, 3, 4, 5, 99, 99], 4000).tolist(), strict=True))
    data, code = Lru(512, 2, 16), Lru(256, 4, 8)
    if common:
        code = data
    expected = Counter[str]()
    for address, info in accesses:
        region = "ram" if address >= 0x20000 else "flash"
        chip = address + (0x100 if region == "ram" else 0)  # other sets than in the emulated machine
        if info == 99:
            code.touch(chip, chip + 20, region, False, expected, "code")
        else:
            store = bool(info & 1)
            data.touch(chip, chip + (1 << (info >> 1)), region, store, expected, "stored" if store else "loaded")
    number = 0 if common else 1
    regions = [f"region=0:0x10000:0:{number}:0:4", f"region=0x20000:0x30000:0x20100:{number}:0:4"]
    command = ["./driver", "range=0x10-0x20", "cache=512:2:16", "cache=256:4:8", *regions, "out=counts"]
    text = "".join(f"{address:x} {info:x}\n" for address, info in accesses)
    subprocess.run(command, cwd=tmp_path, input=text, text=True, check=True)
    board = load_board("stm32f746")
    found = parse((tmp_path / "counts").read_text(), [Region(0, 0, 0, board.flash), Region(0, 0, 0, board.ram)])
    for index, name in enumerate(("flash", "ram")):
        counts = found.counts[0x10, index]
        got = {"code": counts.fetches.all, "loaded": counts.loaded.all, "stored": counts.stored.all}
        got["write_backs"] = counts.write_backs
        assert got == {kind: expected[f"{name} {kind}"] for kind in got}
        assert 0 < counts.fetches.streamed < counts.fetches.all
        assert 0 < counts.fetches.hidden <= 4 * counts.fetches.streamed


def counts(*numbers: int) -> str:
    assert len(numbers) == FIELDS
    return " ".join(map(str, numbers))


def test_prices_of_counts() -> None:
    """Fills of an F746 by region and kind, and where a serial flash reads ahead."""
    board = load_board("stm32f746")
    ram, qspi = (next(m for m in board.memories if m.name == name) for name in ("ram", "qspi"))
    regions = [Region(0, 9, board.flash.origin, board.flash), Region(9, 10, ram.origin, ram),
               Region(10, 11, qspi.origin, qspi)]  # fmt: skip
    text = f"""count 8 0 {counts(9, 3, 0, 0, 50, 0, 2, 0, 0, 0, 0, 0, 0)}
count 8 1 {counts(0, 0, 0, 0, 50, 50, 4, 0, 0, 5, 0, 0, 6)}
count a 2 {counts(0, 0, 0, 0, 50, 0, 10, 9, 500, 0, 0, 0, 0)}
"""
    found = waiting_of(parse(text, regions), board.memory_system, {0x8: 0, 0xA: 1})
    assert found[0].cycles["fetch"] == Cycles(3 * 14, 3 * 14)
    assert found[0].cycles["constants"] == Cycles(2 * 14, 2 * 14)
    assert found[0].cycles["activations"] == Cycles(4 * 9, (4 + 5 + 6) * 9)
    assert found[1].cycles["external"].high == pytest.approx(321 + 9 * 192, rel=1e-3)
    assert found[1].cycles["external"].low == pytest.approx(321 + 9 * 192 - 500, rel=1e-3)
    both = (found[0] + found[1]).as_dict()
    assert both["fills"] == {
        "flash": {"code": 3, "data": 2},
        "ram": {"data": 9, "write_backs": 6},
        "qspi": {"data": 10},
    }
    assert both["total"]["high"] == sum(cycles["high"] for cycles in both["cycles"].values())
    with pytest.raises(ValueError, match="not a line"):
        parse("count 8 0 1 2", regions)


def test_a_section_that_spans_two_memories_is_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("stm32f746")
    dtcm, ram = (next(m for m in board.memories if m.name == name) for name in ("dtcm", "ram"))
    elves = {"firmware_qemu.elf": {".arena": (0x20000100, 0x20000), ".host": (0, 8)}, "firmware.elf": {}}
    elves["firmware.elf"][".arena"] = (dtcm.origin + 0x200, 0x20000)
    monkeypatch.setattr(waiting, "sections", elves.__getitem__)
    build = SimpleNamespace(elf=str, report={}, board=board)
    in_dtcm = dtcm.bytes - 0x200
    assert regions_of(cast(Build, build)) == (
        Region(0x20000100, 0x20000100 + in_dtcm, dtcm.origin + 0x200, dtcm),
        Region(0x20000100 + in_dtcm, 0x20020100, ram.origin, ram),
    )


def test_what_is_assumed_is_said() -> None:
    board = load_board("nrf52840")
    assert list(assumptions(board.memory_system, board.memories)) == ["nothing else uses the caches"]
    board = load_board("stm32n6")
    assert "flash, ram is left out" in next(assumptions(board.memory_system, board.memories))
    board = load_board("stm32f746")
    assert len([*assumptions(board.memory_system, board.memories)]) == 3


def test_reads_without_a_cache_and_options() -> None:
    board = load_board("nrf52840")
    region = Region(0, 0x100, 0, board.flash)
    assert options_of(board, [region]) == ["pace=135", "cache=2048:4:16", "region=0x0:0x100:0x0:0:-1:3"]
    text = f"count 8 0 {counts(9, 3, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0)}\n"
    found = waiting_of(parse(text, [region]), board.memory_system, {8: 0})[0]
    assert found.cycles["constants"] == Cycles(100, 150) and found.fills == {"flash": {"code": 3, "reads": 50}}
    uncached = replace(board, caches=())
    found = waiting_of(parse(text, [region]), uncached.memory_system, {8: 0})[0]
    assert found.cycles["fetch"] == Cycles(18, 27)
