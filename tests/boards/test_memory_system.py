"""What boards say of their memories' and caches' costs, and prices made from it."""

import pytest

from tinycompile.targets import Access, Cycles, all_boards, load_board
from tinycompile.targets.access_time import access_of
from tinycompile.targets.memory import Memory, memories_of, ram_choices
from tinycompile.targets.memory_system import MemorySystem, caches_of, check_accesses, with_costs

FLASH = Memory("flash", 0, 0x10000, "flash", access=Access(fill=Cycles(14, 14), read=Cycles(3, 3)))
SERIAL = Memory("qspi", 0x90000, 0x10000, "flash", access=Access(Cycles(320, 320), 1 / 6))
RAM = Memory("ram", 0x20000, 0x1000, access=Access())
TABLE = {"serves": "data", "bytes": 1024, "ways": 4, "line": 32, "memories": ["flash", "qspi"]}
MEMORIES = (FLASH, SERIAL, RAM)
SYSTEM = MemorySystem(MEMORIES, caches_of({"data": TABLE}, MEMORIES))


UNKNOWN = ("stm32n6", "gd32vf103", "esp32c3", "esp32c6", "ra8d1")
"""Chips of whose waiting no figure was found."""


def test_boards_of_chips_say_what_waiting_costs_and_emulated_ones_that_nothing_does() -> None:
    boards = all_boards()
    emulated = {name for name, board in boards.items() if board.qemu or board.is_host}
    assert {name for name, board in boards.items() if board.memory_system.is_free} == emulated | set(UNKNOWN)
    unknown = {name: board.memory_system.unknown for name, board in boards.items() if board.memory_system.unknown}
    assert unknown == {**dict.fromkeys(UNKNOWN, ("flash", "ram")), "mps2-an500": ("psram",)}
    for board in boards.values():
        check_accesses(board.memories, board.caches)


def test_a_board_without_costs_is_of_unknown_cost() -> None:
    tables = {"flash": {"origin": 0, "bytes": 8}, "ram": {"origin": 8, "bytes": 8, "cost": 1.5}}
    memories = with_costs(memories_of(tables), ())
    assert [(m.cost, m.access) for m in memories] == [(1.0, None), (1.5, None)]
    system = MemorySystem(memories)
    assert system.unknown == ("flash", "ram")
    assert system.sweep(memories[0], 8, times=3) == system.fetch(memories[0], 8) == Cycles()


def test_sweeps_that_fit_the_cache_are_read_once_and_larger_ones_each_time() -> None:
    assert SYSTEM.sweep(FLASH, 1024, times=7) == SYSTEM.sweep(FLASH, 1024) == Cycles(448, 448)
    assert SYSTEM.sweep(FLASH, 2048, times=7) == Cycles(7 * 896, 7 * 896)
    assert SYSTEM.sweep(FLASH, 512, times=7, between=4096).high == pytest.approx(7 * 224)
    partly = SYSTEM.sweep(FLASH, 1024 + 128, times=7).high  # half of the sets have a line too many
    assert 36 * 14 < partly < 7 * 36 * 14
    assert SYSTEM.sweep(RAM, 4096, times=9) == Cycles()


def test_lines_in_sequence_come_at_the_rate_of_the_bus_and_others_after_a_command() -> None:
    assert SYSTEM.sweep(SERIAL, 4096).high == pytest.approx(320 + 127 * 192)
    assert SYSTEM.read(SERIAL).high == 320
    assert SYSTEM.read(SERIAL, in_sequence=True).high == pytest.approx(24)
    assert SYSTEM.write_back(FLASH) == Cycles(0, 14)


def test_code_read_ahead_may_cost_nothing() -> None:
    board = load_board("stm32f407")
    system = board.memory_system
    assert system.fetch(board.flash, 1024, times=100) == Cycles(0, 64 * 5)
    assert system.fetch(board.flash, 2048, times=100) == Cycles(0, 12_800 * 5)
    assert system.cache(board.flash, "data") is not system.cache(board.flash, "instructions")
    assert system.cache(board.ram, "data") is None


def test_uncached_data_costs_a_read_each_time() -> None:
    board = load_board("nrf52840")
    system = board.memory_system
    assert system.sweep(board.flash, 4000, times=3) == Cycles(2 * 3000, 3 * 3000)
    assert system.sweep(board.flash, 4000, times=3, loads=4000) == Cycles(2 * 12_000, 3 * 12_000)
    assert board.ram.cost == 1.0 < board.flash.cost


def test_runs_of_memories_and_parts_of_them_cost_what_their_dearest_part_costs() -> None:
    board = load_board("stm32f746")
    system = board.memory_system
    run = next(m for m in ram_choices(board.memories) if m.name == "dtcm_ram")
    dtcm = next(m for m in board.memories if m.name == "dtcm")
    assert run.access == board.ram.access
    assert system.cache(run, "data") == system.cache(board.ram, "data") != system.cache(dtcm, "data")
    assert system.sweep(run, 64).high == 18
    assert board.weights is not None
    assert system.cache(board.weights, "data") == system.cache(board.flash, "data")
    assert dtcm.cost == 1.0 < board.ram.cost < 1.2 < 2.9 < next(m.cost for m in board.memories if m.name == "qspi")


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("fast", "access is"),
        ({"fill_cycles": 3, "latency": 2}, "no latency"),
        ({"bytes_per_cycle": 3}, "fill_cycles"),
        ({"fill_cycles": [5, 3]}, "low, high"),
        ({"fill_cycles": -1}, "from 0"),
        ({"fill_cycles": 3, "bytes_per_cycle": 0}, "more than 0"),
        ({"fill_cycles": 3, "read_ahead": "data"}, "read_ahead is"),
    ],
)
def test_accesses_that_make_no_sense(value: dict | str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        access_of(value)
    with pytest.raises(ValueError, match=r"\[memory.flash\]"):
        memories_of({"flash": {"origin": 0, "bytes": 8, "access": value}, "ram": {"origin": 8, "bytes": 8}})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"serves": "code"}, "serves is"),
        ({"bytes": 1000}, "multiple"),
        ({"line": 24, "bytes": 960}, "powers of two"),
        ({"memories": ["rom"]}, r"no \[memory.rom\]"),
    ],
)
def test_caches_that_make_no_sense(change: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        caches_of({"data": TABLE | change}, MEMORIES)


def test_costs_that_dont_go_with_the_caches() -> None:
    both = TABLE | {"serves": "both"}
    with pytest.raises(ValueError, match="two caches for data"):
        caches_of({"data": TABLE, "xip": both}, MEMORIES)
    uncached = Memory("flash", 0, 64, "flash", access=Access(read=Cycles(2, 2)))
    cached = Memory("flash", 0, 64, "flash", access=Access(fill=Cycles(2, 2)))
    with pytest.raises(ValueError, match="fill_cycles"):
        check_accesses([uncached], caches_of({"data": TABLE | {"memories": ["flash"]}}, [uncached]))
    with pytest.raises(ValueError, match="read_cycles"):
        check_accesses([cached], ())
