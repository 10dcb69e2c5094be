"""The boards' own `tc_fetch_begin` and `tc_fetch_wait`: they compile for the chip, and what they ask of its DMA."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tinycompile.resources import boards_dir
from tinycompile.targets import all_boards, load_board

BOARDS = [name for name, board in all_boards().items() if board.fetch]

HARNESS = r"""
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#define DMA_ADDRESS(pointer) ((uint32_t)(uintptr_t)(pointer))
#define REGISTER(address) (*mock((uint32_t)(address)))
static uint32_t source[70000], target[70008], registers[0x40];
static int fails;
static uint32_t *mock(uint32_t address);
"""

STM32 = r"""
static uint32_t *mock(uint32_t address)
{
    static uint32_t ignored;
    if (address >> 8 != 0x400264) {
        ignored = 0;
        return &ignored;
    }
    uint32_t *const r = registers;
    const uint32_t at = (address & 0xFF) / 4;
    if (at == 0) { /* the status: done at once, the copy made if asked for */
        r[0] = 1u << 5;
        if (r[4] & 1u) {
            const uint32_t from = (r[6] - DMA_ADDRESS(source)) / 4, to = (r[7] - DMA_ADDRESS(target)) / 4;
            const uint32_t words_upwards = (1u << 9) | (1u << 10) | (2u << 11) | (2u << 13);
            if (r[4] != ((2u << 6) | words_upwards | 1u) || r[9] != 7u || r[5] > 0xFFFF) {
                printf("unexpected set-up\n");
            }
            if (fails) {
                r[0] |= 1u << 3;
            } else {
                memcpy(target + to, source + from, 4 * r[5]);
            }
        }
    }
    return &r[at];
}
"""

RP2350 = r"""
static uint32_t *mock(uint32_t address)
{
    static uint32_t empty = 1u << 1, done, xip[8];
    if (address == 0x400C8008u) {
        return &empty;
    }
    if (address >> 8 == 0x400C80u) {
        return &xip[(address & 0xFF) / 4];
    }
    if (address >> 12 == 0x50000u) {
        uint32_t *const r = registers + (address & 0xF) / 4;
        if (address == 0x50000000u + 0x40u * 11u + 0xCu && (registers[3] & 1u)) {
            if (registers[0] != 0x50500000u || (registers[3] >> 17 & 63u) != 49u || xip[6] != registers[2]) {
                printf("unexpected set-up\n");
            }
            memcpy(target + (registers[1] - DMA_ADDRESS(target)) / 4, source + (xip[5] - DMA_ADDRESS(source)) / 4,
                   4 * registers[2]);
            registers[3] = 0;
        }
        return r;
    }
    done = ~0u;
    return &done; /* resets and clocks: ready */
}
"""

MAIN = r"""
int main(void)
{
    for (uint32_t i = 0; i < 70000; i++) {
        source[i] = i * 2654435761u;
    }
    const uint32_t sizes[] = {1, 9, 70000};
    for (fails = 0; fails < 2; fails++) {
        for (int i = 0; i < 3; i++) {
            memset(target, 0, sizeof target);
            tc_fetch_begin(target, source, 4 * sizes[i]);
            tc_fetch_wait();
            tc_fetch_wait();
            const int same = memcmp(target, source, 4 * sizes[i]) == 0;
            printf("%d %d\n", same, target[sizes[i]] == 0);
        }
    }
    return 0;
}
"""


def source_of(name: str) -> Path:
    fetch = load_board(name).fetch
    assert fetch is not None
    return fetch.source


@pytest.mark.parametrize("name", BOARDS)
def test_it_compiles_for_the_chip_and_has_both_functions(name: str, tmp_path: Path) -> None:
    board, target = load_board(name), tmp_path / "fetch.o"
    flags = [*board.cflags, "-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-Wmissing-prototypes"]
    include = f"-I{boards_dir() / 'common'}"
    subprocess.run([board.compiler, *flags, include, "-c", source_of(name), "-o", target], check=True)
    symbols = subprocess.run(["arm-none-eabi-nm", target], check=True, capture_output=True, text=True).stdout
    assert {line.split()[-1] for line in symbols.splitlines() if " T " in line} == {"tc_fetch_begin", "tc_fetch_wait"}


@pytest.mark.parametrize(("name", "mock"), [("stm32f746", STM32), ("rp2350", RP2350)], ids=["stm32f746", "rp2350"])
def test_it_asks_the_dma_controller_for_the_copy(name: str, mock: str, tmp_path: Path) -> None:
    """On this machine, with registers in memory; where DMA reports an error the core copies."""
    text = source_of(name).read_text().replace("__asm__ volatile", "(void)")
    common = (boards_dir() / "common" / "cortex_m.h").read_text().replace("__asm__ volatile", "(void)")
    for header in ("stm32.h", "stm32f4.h", "rp2.h", "board.h"):
        (tmp_path / header).write_text((boards_dir() / "common" / header).read_text())
    (tmp_path / "cortex_m.h").write_text(common.replace('"dsb\\n\\tisb" ::: "memory"', "0"))
    text = text.replace('"dmb" ::: "memory"', "0")
    (tmp_path / "fetch.c").write_text(HARNESS + mock + text + MAIN)
    program = tmp_path / "fetch"
    subprocess.run(["gcc", "-w", "-O1", tmp_path / "fetch.c", "-o", program], check=True)
    told = subprocess.run([program], check=True, capture_output=True, text=True, timeout=20).stdout
    assert told == "1 1\n" * 6
