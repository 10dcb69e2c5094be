"""Compare the cycle models of `tinycompile profile` with llvm-mca on the blocks in which our kernels spend their time.

    python -m benchmarks.cycle_models --llvm-mca /usr/lib/llvm-22/bin/llvm-mca MODEL.tflite ...

LLVM has models of M55 and M85 since version 17; of the M33 it has none and takes that of the M4.

Models are built for a board of each core and run in QEMU. The blocks that hold most of the executed instructions, each
without its branch, are given to both as loops that repeat, so that nothing depends on how they begin. The M85 runs the
M55's code. The table of docs/benchmarks.md is what this prints.

llvm-mca simulates in-order cores with a rule that LLVM's models don't state and the cores don't have: an instruction
waits until its first result isn't there before the last one of the instruction before (`InOrderIssueStage.cpp`). It
delays every load behind a product. The first ratio is that of our models with this rule (`ResultsInOrder`): units,
latencies and pairs against LLVM's. The second is that of the models as `profile` has them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tinycompile
from tinycompile.build import Build
from tinycompile.profile import decoder_of, pattern
from tinycompile.profile.cortex_m7 import CORTEX_M7
from tinycompile.profile.cortex_m33 import CORTEX_M33
from tinycompile.profile.cortex_m55 import CORTEX_M55
from tinycompile.profile.cortex_m85 import CORTEX_M85
from tinycompile.profile.counter import Block, count
from tinycompile.profile.in_order import Issue, Pipeline
from tinycompile.profile.instructions import Decoder, Instruction

PIPELINES = {"m33": CORTEX_M33, "m55": CORTEX_M55, "m85": CORTEX_M85, "m7": CORTEX_M7}
BOARDS = {"m33": "mps2-an505", "m55": "mps3-an547", "m85": "mps3-an547", "m7": "mps2-an500"}
TRIPLES = {
    "m33": ("thumbv8m.main-none-eabihf", "+dsp,+fp-armv8d16sp"),
    "m55": ("thumbv8.1m.main-none-eabihf", "+dsp,+mve.fp"),
    "m85": ("thumbv8.1m.main-none-eabihf", "+dsp,+mve.fp"),
    "m7": ("thumbv7em-none-eabihf", "+fp-armv8d16"),
}
SHARE = 0.9
"""Of the instructions, that the compared blocks hold."""

ITERATIONS = 100


@dataclass
class ResultsInOrder(Pipeline):
    """A pipeline with llvm-mca's rule."""

    last: int = 0
    """Cycle in which the result of the instruction before is there."""

    def earliest(self, i: Instruction, needs: Issue) -> int:
        first = min(needs.latency, needs.base) if i.updates else needs.latency
        cycle = max(super().earliest(i, needs), self.last - first)
        begins = max(cycle, self.cycle)
        self.last = begins + needs.latency
        return cycle


@dataclass(frozen=True)
class Comparison:
    """Of one block: instructions that a run executes of it, and cycles of a round.

    Attributes:
        ruled, ours, theirs: by the model with llvm-mca's rule, by the model, and by llvm-mca.
    """

    block: Block
    executed: int
    ruled: float
    ours: float
    theirs: float

    @property
    def error(self) -> float:
        return self.ruled / self.theirs - 1


def hottest(build: Build) -> Iterator[tuple[Block, int]]:
    """Blocks with how often they run, those first that hold most instructions, until they hold `SHARE` of all."""
    elf = build.elf("firmware_qemu.elf")
    inputs = [pattern(t) for t in build.inputs]
    runs = Counter[Block]()
    for pair in count(build, elf, f"{build.model}_invoke", inputs, inner=f"{build.model}_infer").pairs:
        runs[pair.block] += pair.count
    everything, held = sum(block.instructions * times for block, times in runs.items()), 0
    for block, times in sorted(runs.items(), key=lambda item: -item[0].instructions * item[1]):
        if held >= SHARE * everything:
            return
        held += block.instructions * times
        yield block, times


def assembly(block: Sequence[Instruction]) -> str:
    """A block for llvm-mca: no addresses, and in place of LDM, which is one cycle in LLVM's models, as many LDRD."""
    lines = (re.sub(r"\[pc, #[^]]*\]", "[r0]", line) for instruction in block for line in without_ldm(instruction))
    return ".syntax unified\n.thumb\n" + "\n".join(lines) + "\n"


def without_ldm(i: Instruction) -> Sequence[str]:
    """LDM by LDRD and LDR of the same registers; the base is updated by the last."""
    if not (match := re.match(r"ldm(?:ia)?(?:\.w)? (\w+)(!?), \{(.*)\}", i.text)):
        return [i.text]
    base, updated, registers = match[1], match[2], match[3].split(", ")
    pairs = [registers[n : n + 2] for n in range(0, len(registers), 2)]
    lines = [f"{'ldrd' if len(p) == 2 else 'ldr'} {', '.join(p)}, [{base}, #{8 * n}]" for n, p in enumerate(pairs)]
    if updated:
        lines[-1] = re.sub(r"\[.*", f"[{base}], #{8 * len(pairs)}", lines[-1])
    return lines


def by_llvm_mca(program: str, pipeline: str, block: Sequence[Instruction]) -> float | None:
    """Cycles of a round; None where it refuses: LLVM 22 has no cycles for IT on the M85, and no block may end inside
    of a VPT block, as some of QEMU's do."""
    triple, features = TRIPLES[pipeline]
    command = [program, f"-mtriple={triple}", f"-mcpu=cortex-{pipeline}", f"-mattr={features}"]
    result = subprocess.run(
        [*command, f"-iterations={ITERATIONS}"], input=assembly(block), capture_output=True, text=True, check=False
    )
    found = re.search(r"Total Cycles:\s+(\d+)", result.stdout)
    return None if result.returncode or found is None else int(found[1]) / ITERATIONS


def compare(build: Build, pipeline: str, program: str) -> list[Comparison]:
    """Of a build's hottest blocks."""
    decoder, found = decoder_of(build), list[Comparison]()
    for block, times in hottest(build):
        code = tuple(i for i in decoder.block(block.code, block.address) if i.kind != "branch" and not i.jumps)
        if len(code) < 2:
            continue
        theirs = by_llvm_mca(program, pipeline, code)
        if theirs:
            model = PIPELINES[pipeline]
            ours = model.cycles(code, code, False)
            ruled = model.settled(ResultsInOrder(model.core), code, False)
            found.append(Comparison(block, block.instructions * times, ruled, ours, theirs))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--llvm-mca", default=shutil.which("llvm-mca") or "llvm-mca")
    parser.add_argument("--pipelines", nargs="*", default=list(BOARDS))
    parser.add_argument("--blocks", action="store_true", help="print each block")
    options = parser.parse_args()
    print(f"{version(options.llvm_mca)}\n")
    print(
        "| core | model | blocks | with its rule | ours | largest of a block, with its rule |\n|---|---|--:|--:|--:|--:|"
    )
    for pipeline in options.pipelines:
        for model in options.models:
            with tempfile.TemporaryDirectory() as folder:
                build = tinycompile.compile(
                    model, target=BOARDS[pipeline], optimize="speed", schedule="layer", output=Path(folder) / "out"
                )
                found = compare(build, pipeline, options.llvm_mca)
                show(pipeline, model.stem, found, decoder_of(build) if options.blocks else None)


def version(program: str) -> str:
    """The line that names LLVM's.

    Raises:
        SystemExit: it isn't installed.
    """
    try:
        found = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except OSError:
        raise SystemExit(f"{program} is not installed: apt-get install llvm, or --llvm-mca") from None
    return next(line.strip() for line in found.splitlines() if "LLVM version" in line)


def show(pipeline: str, model: str, found: Sequence[Comparison], decoder: Decoder | None = None) -> None:
    """A row of the table, and where there is a decoder the blocks behind it."""
    weights = [each.executed / each.block.instructions for each in found]
    ruled = sum(each.ruled * weight for each, weight in zip(found, weights, strict=True))
    ours = sum(each.ours * weight for each, weight in zip(found, weights, strict=True))
    theirs = sum(each.theirs * weight for each, weight in zip(found, weights, strict=True))
    largest = max((each.error for each in found), key=abs)
    print(
        f"| {pipeline.upper()} | {model} | {len(found)} | {ruled / theirs:.3f} | {ours / theirs:.3f} | {100 * largest:+.1f} % |",
        flush=True,
    )
    if decoder is not None:
        for each in sorted(found, key=lambda each: -each.executed):
            print(
                f"{each.block.address:x} {each.executed} {each.ruled:.2f} {each.ours:.2f} {each.theirs:.2f} {100 * each.error:+.1f} %"
            )
            for i in decoder.block(each.block.code, each.block.address):
                print("    ", i.text)


if __name__ == "__main__":
    main()
