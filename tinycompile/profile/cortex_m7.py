"""Estimated cycles of the Cortex-M7, which issues up to two instructions at a time, in order.

Arm publishes no table of its timings. This model has the units and latencies of LLVM's scheduling model of the core
(ARMScheduleM7.td) and what others measured on silicon (quinapalus.com/cm7cycles.html), for code and data in tightly
coupled memory: two ALUs, of which one shifts; one SIMD unit and one multiplier; one load, or two from different banks;
one store; one branch; one FPU. A correctly predicted branch costs its slot and ends the pair.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tinycompile.profile.in_order import Core, InOrder, Issue
from tinycompile.profile.instructions import BITS, EXTENDS, FLAGS, REVERSES, SHIFTS, Instruction

MISPREDICTION = 6
"""Cycles that a wrongly predicted branch costs."""

UNITS = {"alu": 2, "shift": 1, "simd": 1, "mac": 1, "load": 2, "store": 1, "branch": 1, "fpu": 1, "move": 2}


@lru_cache(maxsize=1 << 14)
def issue_of(i: Instruction) -> Issue:
    """By kind and name."""
    if i.is_memory:
        return _memory(i)
    if i.name == "it":
        return Issue(())
    if i.kind == "branch":
        return Issue(
            ("branch",), latency=2, alone=i.name in ("tbb", "tbh"), cycles=2 if i.name in ("tbb", "tbh") else 1
        )
    if i.is_float:
        return _float(i)
    if i.kind == "other":
        return Issue((), alone=i.name not in ("nop", "pld", "unknown"))
    if i.kind == "mac":
        return Issue(("mac",), latency=2, late=i.accumulator)
    if i.name in ("sdiv", "udiv"):
        return Issue(("alu",), alone=True, cycles=7)
    if i.kind == "simd" or EXTENDS.match(i.name) or REVERSES.match(i.name):
        units = ("simd", "alu", "shift") if i.name.startswith("pkh") else ("simd", "alu")
        latency = 2 if i.name.startswith(("q", "uq", "usad", "ssat", "usat")) else 1
        return Issue(units, latency, early=i.shifted, older=True)
    if BITS.match(i.name):
        latency = 2 if i.name.startswith(("ssat", "usat", "q")) else 1
        return Issue(("simd", "alu", "shift"), latency, early=i.reads - {FLAGS}, older=True)
    if i.name in SHIFTS:
        return Issue(("alu", "shift"))
    if i.shifted:
        return Issue(("alu", "shift"), early=i.shifted)
    return Issue(("alu",))


def _memory(i: Instruction) -> Issue:
    several = i.words > 1
    cycles = (i.words + 1) // 2 + (1 if i.words > 2 else 0)
    if i.kind == "store":
        return Issue(("store",), early=i.address, late=i.reads - i.address - {FLAGS}, alone=several, cycles=cycles)
    narrow = re.match(r"ldrs?[bh]", i.name) is not None
    return Issue(("load",), 2 if narrow or i.is_float else 1, early=i.address, alone=several, cycles=cycles)


def _float(i: Instruction) -> Issue:
    more = 3 if i.is_double else 0
    if i.name in ("vdiv", "vsqrt"):
        return Issue(("fpu",), 16 + more, cycles=14)
    if i.name == "vmov":
        to_core = bool(i.writes) and not any(register[0] in "sd" and register[1:].isdigit() for register in i.writes)
        return Issue(("move",), 1 if to_core else 3)
    if i.name in ("vmrs", "fmstat"):
        return Issue(("move",), 2)
    if i.accumulator:
        return Issue(("fpu",), 6 + more, late=i.accumulator, cycles=2 if more else 1)
    return Issue(("fpu",), 3 + more, cycles=2 if more else 1)


def _pairs(first: Instruction, second: Instruction) -> bool:
    return not (first.kind == "load" and second.kind == "load") or _different_banks(first, second)


def _different_banks(a: Instruction, b: Instruction) -> bool:
    """Tightly coupled data memory has a bank for even words and one for odd ones."""
    return bool(a.base) and a.base == b.base and bool((a.offset ^ b.offset) & 4)


CORTEX_M7 = InOrder(Core("cortex-m7", UNITS, issue_of, _pairs, mispredicted=MISPREDICTION))
