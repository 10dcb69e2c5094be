"""Estimated cycles of the Cortex-M55.

By LLVM's scheduling model of the core (ARMScheduleM55.td, which Arm wrote by its Software Optimization Guide,
102692), for code and data without wait states:

* One instruction a cycle. Two of 16 bits begin together where one of them is an addition or subtraction of a
  constant, a move, an extension, a branch or IT.
* Plain arithmetic has its result in the next cycle; loads, products, operands that are shifted first, saturation and
  parallel arithmetic on bytes after two cycles.
* A vector instruction takes its pipe for two cycles, a cycle for each half ("beat") of the vectors. In the second one
  of another pipe begins: loads and stores, integers, multiplications (and floats), so that a load every other cycle
  costs nothing beside products. Predication (VPST, VPT, VCTP) has a pipe of its own.
* Loads of vectors have results at once, additions and shifts in the next cycle, products after two, narrowing after
  three. Stores read what they store a cycle late, but not narrowed values. Gathering reads its offsets four cycles
  early; that it takes more than two cycles where elements are in one bank of memory isn't modelled.
* A branch that is taken costs 3 cycles in all (LLVM's `MispredictPenalty`, which for the M4 is what a taken one costs
  at best); nothing is predicted.
* LE costs nothing but the first time in a loop (Armv8.1-M's low overhead branches), which is counted with DLS and
  WLS.
* LDM and STM move two words a cycle, the width of its data interfaces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tinycompile.profile.in_order import Core, InOrder, Issue
from tinycompile.profile.instructions import FLAGS, Instruction

UNITS = {"alu": 1, "load/store": 1, "integer": 1, "multiply": 1, "predicate": 1}

REFILL = 2
"""Cycles that a taken branch adds to its own."""

_SLOW = re.compile(r"[su]bfx|[su]sat|u?q(add|sub|dadd|dsub|asx|sax)|[su]h?(add|sub|asx|sax)(8|16)?$|usad")
_EXTENDS = ("uxtb", "uxth", "sxtb", "sxth")
_NARROWS = re.compile(r"v(q?movu?n|q?r?shru?n)[bt]$")
_LATE_INTEGER = re.compile(r"v(adc|sbc|q?rshl|qshl|rshr|mull[bt]?p)")
_LEAST = re.compile(r"v(min|max)a?v$")
_MULTIPLY = re.compile(r"v(add|sub)l?va?$|v(cmp|cvt|rint|(min|max)nm)")


@lru_cache(maxsize=1 << 14)
def issue_of(i: Instruction) -> Issue:
    """By kind and name."""
    if i.vector:
        return vector_memory(i) if i.is_memory else _vector(i)
    if i.name in ("le", "letp"):
        return Issue((), free=True)
    if i.name in ("dls", "wls", "dlstp", "wlstp"):
        return Issue(("alu",), cycles=2 + REFILL)
    if i.is_memory:
        return _memory(i)
    if i.name == "it" or i.kind == "branch":
        return Issue((), cycles=2 if i.name in ("tbb", "tbh") else 1)
    if i.is_float:
        return _float(i)
    if i.kind == "other":
        return Issue((), alone=i.name not in ("nop", "pld", "unknown"))
    if i.name in ("sdiv", "udiv"):
        return Issue(("alu",), cycles=7)
    if "xta" in i.name:
        return Issue(("alu",), 2, late=i.accumulator)
    slow = i.kind == "mac" or i.shifted or _SLOW.match(i.name) or _is_long_shift(i)
    return Issue(() if _is_light(i) else ("alu",), 2 if slow else 1)


def _is_long_shift(i: Instruction) -> bool:
    return i.name in ("asrl", "lsll", "lsrl") or re.match(r"[su]q?r?sh[lr]l?$", i.name) is not None


def _memory(i: Instruction) -> Issue:
    unit = ("load/store",) if i.is_float else ("alu",)
    cycles = (i.words + 1) // 2
    late = i.reads - i.address - {FLAGS} if i.kind == "store" else frozenset[str]()
    return Issue(unit, 2, late=late if i.is_float else frozenset(), base=1, cycles=max(cycles, 1))


def vector_memory(i: Instruction) -> Issue:
    """Loads and stores of vectors, whose addresses may be in a vector."""
    offsets = frozenset(register for register in i.address if register[0] == "q")
    late = i.reads - i.address if i.kind == "store" else frozenset[str]()
    return Issue(
        (), 2 if offsets else 1, early=offsets, earlier=4, late=late, late_from=frozenset({""}), base=1,
        held=("load/store",),
    )  # fmt: skip


def _vector(i: Instruction) -> Issue:
    mnemonic = i.text.split()[0]
    is_float = ".f" in mnemonic
    if i.name in ("vctp", "vpst", "vpnot"):
        return Issue(("predicate",))
    if _NARROWS.match(i.name):
        return Issue((), 3, result="narrowed", held=("integer",))
    if _LEAST.match(i.name):
        return Issue((), 4 if "32" in mnemonic else 3 if "16" in mnemonic else 2, held=("integer",))
    if i.name == "vmov":
        return _move(i)
    if i.kind == "mac" or is_float or _MULTIPLY.match(i.name) or i.name == "vpt":
        scalar = any(register[0] in "rsfil" for register in i.reads)
        early = i.name in ("vcmp", "vpt") or (is_float and i.kind != "mac" and not scalar and i.name != "vcvt")
        return Issue((), 1 if early else 2, held=("multiply",))
    return Issue((), 3 if i.name == "vabav" else 2 if _LATE_INTEGER.match(i.name) else 1, held=("integer",))


def _move(i: Instruction) -> Issue:
    to_vector = any(register[0] == "q" for register in i.writes)
    if i.has_constant:
        return Issue((), 2, held=("multiply",))
    if any(register[0] != "q" for register in i.reads) and to_vector:
        return Issue((), either=("integer", "multiply"))
    return Issue((), held=("integer",) if to_vector else ("multiply",))


def _float(i: Instruction) -> Issue:
    if i.name in ("vdiv", "vsqrt"):
        return Issue((), 31 if i.is_double else 16, held=("multiply",), beats=28 if i.is_double else 14)
    if i.is_double and (i.kind == "mac" or i.name in ("vadd", "vsub")):
        return Issue((), 24 if i.accumulator else 21 if i.kind == "mac" else 15, held=("multiply",), beats=2)
    to_core = i.name in ("vmov", "vmrs", "fmstat", "vcmp") and not any(register[0] in "sd" for register in i.writes)
    accumulates = bool(i.accumulator) and i.name in ("vmla", "vmls", "vnmla", "vnmls")
    return Issue(("multiply",), 4 if accumulates else 1 if to_core else 2)


def _is_light(i: Instruction) -> bool:
    """The kind of instruction that begins beside another: it needs no place of its own."""
    if i.bytes != 2:
        return False
    return i.name in (*_EXTENDS, "mov", "nop", "it") or (i.name in ("add", "sub") and i.has_constant)


def _pairs(first: Instruction, second: Instruction) -> bool:
    if first.bytes != 2 or second.bytes != 2 or first.is_float or second.is_float:
        return False
    return any(_is_light(each) or each.kind == "branch" for each in (first, second))


def _refill(block: Sequence[Instruction], paired: bool) -> int:
    """A branch that was taken; LE isn't executed again."""
    return 0 if block[-1].name in ("le", "letp") else REFILL


CORTEX_M55 = InOrder(Core("cortex-m55", UNITS, issue_of, _pairs, refill=_refill))
