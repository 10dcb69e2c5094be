"""`python -m benchmarks.schedule HEADER MACRO`: the order of a block's instructions that takes the fewest cycles.

A block is what a macro of a runtime header makes, without branches: `kernels/tc_lane_block.h
'TC_LANE_GROUP_4_SINGLE(r4, r5, r6, r8, r9, r10)'`. It is repeated, as in a loop, on the cycle model of `tinycompile profile`
(`cortex_m7.py`), and its instructions are moved about between those that they depend on: simulated annealing, from the
order in the header. Registers stay what they are. With `--llvm` the mean of that model's cycles and llvm-mca's is what counts,
so that an order is no artefact of either: they differ in when a base register that was written back can be read again.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from tinycompile.profile.cortex_m7 import CORTEX_M7
from tinycompile.profile.instructions import Decoder, Instruction
from tinycompile.resources import runtime_dir

OBJCOPY = "arm-none-eabi-objcopy"
COMPILER = ("arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")
LLVM = next((found for name in ("llvm-mca", "llvm-mca-16") if (found := shutil.which(name))), "llvm-mca")

NEAR = 8
"""Places by which an instruction is moved at once."""

HOT, COLD = 0.7, 0.02
"""Cycles that a worse order may cost at the beginning and at the end."""


def block_of(header: str, macro: str) -> tuple[str, list[str]]:
    """(directives in front, the lines of assembly) that a macro of a header stands for.

    Raises:
        ValueError: it is no macro, or has labels or branches.
    """
    source = f'#include "{header}"\nbegin_of_block {macro} end_of_block\n'
    command = [*COMPILER, f"-I{runtime_dir()}", "-E", "-P", "-xc", "-"]
    text = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
    found = text[text.index("begin_of_block") + 14 : text.index("end_of_block")].strip()
    if not found.startswith('"'):
        raise ValueError(f"{header} has no macro of assembly {macro}")
    lines = [line.strip() for line in ast.literal_eval(f"({found})").splitlines() if line.strip()]
    first = next(i for i, line in enumerate(lines) if not line.startswith("."))
    if any(":" in line or re.match(r"b(eq|ne|\.w)?\b|tb[bh]|\.", line) for line in lines[first:]):
        raise ValueError("a block has no labels and branches, and directives only in front")
    return "\n".join((".syntax unified", ".thumb", *lines[:first], "")), lines[first:]


def decoded(head: str, lines: Sequence[str]) -> tuple[Instruction, ...]:
    """Assembled and decoded."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "block.o"
        text = head + "\n".join(lines) + "\n"
        subprocess.run([*COMPILER, "-c", "-xassembler", "-", "-o", str(path)], input=text, text=True, check=True)
        raw = Path(name) / "block.bin"
        subprocess.run([OBJCOPY, "-O", "binary", "-j", ".text", str(path), str(raw)], check=True)
        found = Decoder().block(raw.read_bytes(), 0)
    if len(found) != len(lines):
        raise ValueError(f"{len(lines)} lines are {len(found)} instructions")
    return found


def dependencies(block: Sequence[Instruction]) -> list[set[int]]:
    """For each instruction those that have to come before it: results it needs, registers and memory it overwrites."""

    def ordered(a: Instruction, b: Instruction) -> bool:
        memory = "store" in (a.kind, b.kind) and a.is_memory and b.is_memory
        return bool(memory or a.writes & (b.reads | b.writes) or a.reads & b.writes)

    return [{i for i in range(j) if ordered(block[i], block[j])} for j in range(len(block))]


def cycles(block: Sequence[Instruction]) -> float:
    """Of one round, when it has been repeated for a while."""
    return CORTEX_M7.cycles(block, block, False)


def annealed(
    block: Sequence[Instruction], cost_of: Callable[[list[int]], float], seconds: float, seed: int
) -> tuple[float, list[int]]:
    """(cost, order) of the best order found."""
    rng, before = np.random.default_rng(seed), dependencies(block)
    after = [{j for j in range(len(block)) if i in before[j]} for i in range(len(block))]
    order = list(range(len(block)))
    best, cost = order, cost_of(order)
    least, end = cost, time.monotonic() + seconds
    while (left := (end - time.monotonic()) / seconds) > 0:
        moved = order.copy()
        place = int(rng.integers(len(order)))
        taken = moved.pop(place)
        low = max((moved.index(i) + 1 for i in before[taken]), default=0)
        high = min((moved.index(i) for i in after[taken]), default=len(moved))
        near = max(low, min(place - NEAR, high)), min(high, max(place + NEAR, low))
        moved.insert(int(rng.integers(near[0], near[1] + 1)), taken)
        found = cost_of(moved)
        if found <= cost or rng.random() < math.exp((cost - found) / (COLD + (HOT - COLD) * left)):
            order, cost = moved, found
            if cost < least:
                best, least = order, cost
    return least, best


def by_llvm(head: str, lines: Sequence[str], rounds: int = 50) -> float:
    """llvm-mca's cycles of a round."""
    command = [LLVM, "-mtriple=thumbv7em-none-eabihf", "-mcpu=cortex-m7", f"-iterations={rounds}"]
    text = head + "\n".join(lines) + "\n"
    report = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return int(report.split("Total Cycles:")[1].split()[0]) / rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("header", help="of runtime/, such as kernels/tc_lane_block.h")
    parser.add_argument("macro", help="with its arguments; any assembly as C strings")
    parser.add_argument("--seconds", type=float, default=30, help="of annealing; 0: only the figure")
    parser.add_argument("--llvm", action="store_true", help="judge by llvm-mca as well")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    head, lines = block_of(options.header, options.macro)
    block = decoded(head, lines)

    def judged(order: Sequence[int]) -> list[float]:
        found = [cycles([block[i] for i in order])]
        return [*found, by_llvm(head, [lines[i] for i in order])] if options.llvm else found

    def said(order: Sequence[int]) -> str:
        return ", llvm-mca ".join(f"{each:.1f}" for each in judged(order))

    print(f"{len(block)} instructions, {said(range(len(block)))} cycles")
    if options.seconds > 0:
        _, order = annealed(block, lambda order: fmean(judged(order)), options.seconds, options.seed)
        print(f"annealed: {said(order)} cycles\n", *(lines[i] for i in order), sep="\n")


if __name__ == "__main__":
    main()
