"""`make bench-cores`: `--cores 2` on QEMU's mps2-an521: an inference's instructions, waiting included, and the RAM.

Both cores run; `two_cores.c` counts what each executes between their meetings, on which one waits for the other. That they
compute the same bytes as one is asserted. Beside models, networks with branches (`tests/support/branch_models`), with
layers divided and nothing else as well.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

import tinycompile
from tests.support.branch_models import BRANCHING
from tinycompile import two_cores
from tinycompile.build import Build
from tinycompile.elf import symbol_values
from tinycompile.emulator import execute
from tinycompile.lowering import lower
from tinycompile.options import Options
from tinycompile.planner import Planned
from tinycompile.planner.meetings import meetings
from tinycompile.profile.counter import plugin
from tinycompile.toolchain import require

BOARD = "mps2-an521"
MODELS = ("ad01_int8", "ic_resnet8_int8", "kws_ref_model", "mcunet_vww", "vww_96_int8")
ROOT = Path(__file__).parent.parent
TRANSFORMER = ROOT / "examples" / "kws_transformer" / "kws_transformer_int8.onnx"
SHARED = ROOT.parent / "shared"
PLUGIN = Path(__file__).with_suffix(".c")
ENDS = 2
"""Meetings when an inference begins and when it ends."""


@dataclass(frozen=True)
class Measured:
    """An inference on two cores.

    Attributes:
        instructions: from its first meeting to its last. waited: of these, by each core.
    """

    instructions: int
    waited: tuple[int, int]
    meetings: int


def measured(build: Build, planned: Planned, inputs: list[np.ndarray], expected: list[np.ndarray]) -> Measured:
    """Raises SystemExit: two cores have other outputs."""
    elf = build.elf("firmware.elf")
    (context,) = symbol_values(elf, "context")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "meetings.txt"
        library = plugin(require(build.emulated.toolchain.emulator, build.emulated.toolchain), PLUGIN)
        options = f"{library},meeting={context + offset_of_meeting(build):#x},out={out}"
        ran = execute(elf, build.emulated, inputs, build.outputs, prefix=build.report["io_prefix"], plugins=[options])
        times = np.loadtxt(out, dtype=np.int64, ndmin=2)
    if not all(np.array_equal(a, b) for a, b in zip(ran.outputs, expected, strict=True)):
        raise SystemExit(f"{build.folder}: two cores have other outputs")
    number = len(meetings(planned)) + sum(k.together.meetings for k in planned.kernels if k.together) + ENDS
    if len(times) != number:
        raise SystemExit(f"{build.folder}: {len(times)} meetings instead of {number}")
    comes, leaves = times[:, :2], times[:, 2:]
    waited = (leaves[1:] - comes[1:]).sum(axis=0)
    return Measured(int(leaves[-1, 0] - leaves[0, 0]), (int(waited[0]), int(waited[1])), number)


def offset_of_meeting(build: Build) -> int:
    """Of `meeting` in the model's context, by the compiler."""
    name, board = build.report["model"], build.board
    text = f'#include <stddef.h>\n#include "{name}.h"\nconst unsigned long at = offsetof({name}_context, meeting);\n'
    compiler = [
        require(board.toolchain.tool("compiler"), board.toolchain),
        *board.cflags,
        "-S",
        "-x",
        "c",
        "-",
        "-o",
        "-",
    ]
    made = subprocess.run(compiler, input=text, cwd=build.folder, capture_output=True, text=True, check=True)
    return next(int(line.split()[1], 0) for line in made.stdout.splitlines() if line.split()[:1] == [".word"])


def rows(model: Path, *, branches: bool) -> Iterator[str]:
    """Of one model, with and without branches if it has any."""
    one = tinycompile.compile(model, BOARD, schedule="layer", pareto=False)
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-100, 100, (1, *t.shape)).astype(t.dtype.carrier) for t in one.inputs]
    expected = one.execute(inputs)
    yield _row(one, model, "", inputs, expected.outputs, expected.instructions[0])
    if branches:
        with patch.object(two_cores, "_with_branches", return_value=[]):
            yield _row(one, model, ", layers divided only", inputs, expected.outputs, expected.instructions[0])


def _row(one: Build, model: Path, how: str, inputs: list[np.ndarray], expected: list[np.ndarray], alone: int) -> str:
    two = tinycompile.compile(model, BOARD, cores=2, pareto=False)
    options = Options.of(BOARD, cores=2)
    (lowered,), _ = lower([model], options.board(), options)
    found = measured(two, lowered.planned, inputs, expected)
    (before, after), (small, large) = (
        [build.report["ram"][key] for build in (one, two)] for key in ("arena_bytes", "total_bytes")
    )
    cells = [
        f"{model.stem}{how}",
        f"{alone:,}",
        f"{found.instructions:,}",
        f"{found.instructions / alone:.3f}",
        f"{lowered.planned.instructions / found.instructions:.3f}",
        " and ".join(f"{waited:,}" for waited in found.waited),
        str(found.meetings),
        f"{before:,} to {after:,}",
        f"{after / before:.2f}",
        f"{large / small:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    wanted = sys.argv[1:] or [*MODELS, TRANSFORMER.stem, *BRANCHING]
    with tempfile.TemporaryDirectory() as folder:
        for each in wanted:
            path = SHARED / "models" / f"{each}.tflite"
            if each in BRANCHING:
                path = Path(folder) / path.name
                path.write_bytes(BRANCHING[each]())
            elif each == TRANSFORMER.stem:
                path = TRANSFORMER
            for line in rows(path, branches=each not in MODELS):
                print(line, flush=True)
