"""What aligned words cost: builds with `--align strict` against others, counted in QEMU.

    python -m benchmarks.strict [--models ad01,...] [--write]

Prints, and with `--write` puts into docs/silicon.md, the instructions of one inference of the first golden sample.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tinycompile
from benchmarks.pages import with_block

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
MODELS = {
    "ad01_int8": "MLPerf Tiny anomaly detection",
    "kws_ref_model": "MLPerf Tiny keyword spotting",
    "ic_resnet8_int8": "MLPerf Tiny image classification",
    "vww_96_int8": "MLPerf Tiny visual wake words",
    "mcunet_vww": "MCUNet visual wake words",
}
CORES = {"M7": "mps2-an500", "M4": "mps2-an386", "M3": "mps2-an385", "M55": "mps3-an547"}
BEGIN, END = "<!-- strict: python -m benchmarks.strict --write -->", "<!-- until here -->"


@dataclass(frozen=True)
class Count:
    """Of one build."""

    instructions: int
    code_bytes: int


def measure(model: str, target: str, align: str) -> Count:
    """Build, run.

    Raises:
        RuntimeError: the outputs aren't the golden ones.
    """
    golden = np.load(SHARED / "golden" / f"{model}.npz")
    with tempfile.TemporaryDirectory() as folder:
        source = SHARED / "models" / f"{model}.tflite"
        build = tinycompile.compile(source, target=target, output=folder, optimize="speed", align=align)
        found = build.execute([golden["input_0"][:1]])
        if not np.array_equal(found.outputs[0].ravel(), golden["output_0"][:1].ravel()):
            raise RuntimeError(f"{model} on {target}, {align}: wrong outputs")
        return Count(found.instructions[0], build.report["flash"]["code_bytes"])


def row(model: str) -> str:
    """A line of the table."""
    pairs = {core: [measure(model, target, align) for align in ("auto", "strict")] for core, target in CORES.items()}

    def more(core: str) -> str:
        usual, strict = pairs[core]
        return f"{100 * (strict.instructions / usual.instructions - 1):+.1f} %"

    usual, strict = pairs["M7"]
    cells = [f"{usual.instructions:,}", f"{strict.instructions:,} ({more('M7')})", *map(more, list(CORES)[1:])]
    code = 100 * (strict.code_bytes / usual.code_bytes - 1)
    return f"| {MODELS[model]} | {' | '.join(cells)} | {code:+.1f} % |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    lines = [
        "| model | M7 | M7, strict | M4, strict | M3, strict | M55, strict | code, M7 |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for model in chosen.models.split(","):
        lines.append(row(model))
        print(lines[-1], flush=True)
    if chosen.write:
        page = ROOT / "docs" / "silicon.md"
        page.write_text(with_block(page.read_text(), BEGIN, END, "\n" + "\n".join(lines) + "\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
