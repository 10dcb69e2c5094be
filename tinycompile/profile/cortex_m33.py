"""Estimated cycles of the Cortex-M33.

Arm publishes no table of its timings, and LLVM schedules for it as for the Cortex-M4, which it isn't. This model has
what was measured on an RP2350 (Cortex-M33 r1p0) by Jan Rusinkiewicz, github.com/jnk0le/random, "pipeline cycle test",
doc/cortex_m33.md, and what Arm says of MULS (developer.arm.com/documentation/ka001260):

* One instruction a cycle. Two of 16 bits begin together where the second is a branch or IT.
* Loads take a cycle for each word; what they loaded can be read two cycles later, one cycle later as the accumulator
  of a product and by a store.
* Products, additions to an extended operand and operands that are shifted first, or constants that are a byte
  shifted, have results after two cycles, and after one as another's accumulator. Those of them that set the flags and
  have no shifted register take two cycles.
* A branch that is taken takes two cycles, one where it begins beside an instruction that doesn't set the flags; one
  that isn't takes none beside another.
* Floating point: loads have results at once, multiply-accumulate after three cycles, in which no other float begins.

What wasn't measured is as in LLVM's model of the Cortex-M55, "a lot like the M4/M33": saturation, parallel arithmetic
and fields of bits have results after two cycles; and as on the Cortex-M4: division (7), floats.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tinycompile.profile.in_order import Core, InOrder, Issue
from tinycompile.profile.instructions import FLAGS, Instruction

UNITS = {"alu": 1, "mac": 1, "memory": 1, "fpu": 1}

_TWO_STAGES = re.compile(r"[su]bfx|[su]sat|u?q(add|sub|dadd|dsub|asx|sax)|[su]h?(add|sub|asx|sax)(8|16)?$|usad|sel$")
_CONSTANT = re.compile(r"#(-?(?:0x)?[0-9a-f]+)$")


@lru_cache(maxsize=1 << 14)
def issue_of(i: Instruction) -> Issue:
    """By kind and name."""
    if i.is_memory:
        return _memory(i)
    if i.kind == "branch":
        return Issue((), late=frozenset({FLAGS}), cycles=2 if i.name in ("tbb", "tbh") else 1)
    if i.name == "it":
        return Issue(())
    if i.is_float:
        return _float(i)
    if i.kind == "other":
        return Issue((), alone=i.name not in ("nop", "pld", "unknown"))
    if i.kind == "mac":
        twice = i.sets_flags and i.bytes == 2
        return Issue(("mac",), 1 if twice else 2, late=i.accumulator, cycles=2 if twice else 1)
    if i.name in ("sdiv", "udiv"):
        return Issue(("alu",), cycles=7)
    if i.accumulator:
        return Issue(("alu",), 2, late=i.accumulator, late_from=frozenset({""}))
    if i.shifted:
        return Issue(("alu",), 2, late=i.reads - i.shifted - {FLAGS}, late_from=frozenset({""}), flags=2)
    if _is_shifted_constant(i):
        return Issue(("alu",), 1 if i.sets_flags else 2, cycles=2 if i.sets_flags else 1)
    return Issue(("alu",), 2 if _TWO_STAGES.match(i.name) else 1)


def _memory(i: Instruction) -> Issue:
    unit = ("memory", "fpu") if i.is_float else ("memory",)
    cycles = max(i.words, 1)
    if i.kind == "store":
        return Issue(unit, late=i.reads - i.address - {FLAGS}, base=1, cycles=cycles, open=True)
    return Issue(unit, 1 if i.is_float else 2, result="load", base=1, cycles=cycles, open=True)


def _float(i: Instruction) -> Issue:
    if i.name in ("vdiv", "vsqrt"):
        return Issue((), 14, held=("fpu",), beats=14)
    if i.accumulator:
        return Issue((), 3, held=("fpu",), beats=3)
    return Issue(("fpu",), 1 if i.name in ("vmov", "vmrs", "fmstat") else 2)


def _is_shifted_constant(i: Instruction) -> bool:
    """Whether it is a byte at another place: not one of 12 bits, nor a byte that is repeated."""
    found = _CONSTANT.search(i.text)
    if i.bytes == 2 or found is None or i.name in ("movw", "movt", "addw", "subw", "bfi", "bfc", "it"):
        return False
    value = int(found[1], 0) & 0xFFFFFFFF
    if _TWO_STAGES.match(i.name) or i.name in ("lsl", "lsr", "asr", "ror"):
        return False
    halves = value >> 16 == value & 0xFFFF
    return value > 0xFF and not halves


def _pairs(first: Instruction, second: Instruction) -> bool:
    return first.bytes == second.bytes == 2 and (second.kind == "branch" or second.name == "it")


def _refill(block: Sequence[Instruction], paired: bool) -> int:
    """A branch that was taken: a cycle, and the one in which it would have begun alone where it follows the flags."""
    return 2 if paired and block[-2].sets_flags else 1


CORTEX_M33 = InOrder(Core("cortex-m33", UNITS, issue_of, _pairs, refill=_refill))
