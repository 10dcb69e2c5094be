"""`make bench-cores`: `--cores 2` on QEMU's mps2-an521: the larger core's instructions, waiting included, and the RAM.

A core's half of each layer is counted while one core computes everything, by the trace build. Between two meetings the
cores take as long as the one with more instructions; each meeting costs what `planner.halves` says. That both cores
together compute the same bytes is asserted.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

import tinycompile
from tinycompile.build import Build
from tinycompile.emulator import emulate
from tinycompile.lowering import lower
from tinycompile.options import Options
from tinycompile.planner.halves import MEETING_INSTRUCTIONS
from tinycompile.planner.meetings import meetings
from tinycompile.toolchain import make

BOARD = "mps2-an521"
MODELS = ("ad01_int8", "ic_resnet8_int8", "kws_ref_model", "mcunet_vww", "vww_96_int8")
SHARED = Path(__file__).parent.parent.parent / "shared"
ENDS = 2
"""Meetings when an inference begins and when it ends."""


def halves(build: Build, sample: np.ndarray) -> dict[int, list[int]]:
    """By layer, the instructions of each core's part; those of layers that one core computes alone."""
    make(build.folder, "trace", toolchain=build.board.toolchain)
    found: dict[int, list[int]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "alone.bin").touch()
        (folder / "input.bin").write_bytes(sample.tobytes())
        emulate(build.elf("firmware_trace.elf"), build.emulated, folder)
        data, place = (folder / "trace.bin").read_bytes(), 0
    qemu = build.emulated.qemu
    while qemu is not None and place < len(data):
        layer, size, *_, ticks = (int(word) for word in np.frombuffer(data, np.uint32, 6, place))
        found[layer].append(qemu.instructions(ticks))
        place += 24 + size
    return found


def larger_core(model: Path, counts: dict[int, list[int]]) -> tuple[int, int]:
    """(instructions, meetings)."""
    options = Options.of(BOARD, cores=2)
    (lowered,), _ = lower([model], options.board(), options)
    meet, total, since = meetings(lowered.planned), 0, [0, 0]
    for layer in range(len(lowered.planned.graph.nodes)):
        if layer in meet:
            total, since = total + max(since), [0, 0]
        for core, count in enumerate(counts.get(layer, [])):
            since[core] += count
    number = len(meet) + ENDS
    return total + max(since) + number * MEETING_INSTRUCTIONS, number


def row(model: Path) -> str:
    one = tinycompile.compile(model, BOARD, schedule="layer", pareto=False)
    two = tinycompile.compile(model, BOARD, cores=2, pareto=False)
    t = one.inputs[0]
    sample = np.random.default_rng(0).integers(-100, 100, (1, *t.shape)).astype(t.dtype.carrier)
    expected = one.execute([sample])
    found = np.asarray(two.run(sample, on="qemu"))
    if not np.array_equal(expected.outputs[0].ravel(), found.ravel()):
        raise SystemExit(f"{model.name}: two cores have other outputs")
    alone, (larger, number) = expected.instructions[0], larger_core(model, halves(two, sample))
    before, after = (build.report["ram"]["arena_bytes"] for build in (one, two))
    figures = (
        f"{alone:,} | {larger:,} | {larger / alone:.3f} | {before:,} to {after:,} | {after / before:.2f} | {number}"
    )
    return f"| {model.stem} | {figures} |"


if __name__ == "__main__":
    for name in MODELS:
        print(row(SHARED / "models" / f"{name}.tflite"), flush=True)
