"""Every state after every step of training, in QEMU on each core and on this machine, against the interpreter: bit for bit.

    python -m benchmarks.training_digest [--model FILE] [--train SCHEME] [--boards rp2040,...] [--steps 20] [--ram BYTES]
        [--accumulate] [--align strict]

`tinycompile verify --train` of a build for each board. Ends with status 1 where a state differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tinycompile import compile as compile_model
from tinycompile.learning.verify import verify_training

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples" / "digits" / "digits_int8.tflite"
BOARDS = ("rp2040", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")
"""Cortex-M0+, M3, M4, M7, M33 and M55."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=DIGITS)
    parser.add_argument("--train", default="last:2, biases")
    parser.add_argument("--boards", default=",".join(BOARDS))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--ram", type=int, help="limit for the arena, in bytes")
    parser.add_argument("--accumulate", action="store_true")
    parser.add_argument("--align", default="auto")
    given = parser.parse_args()
    failed = False
    for name in given.boards.split(","):
        how: dict[str, Any] = {"accumulate": given.accumulate, "align": given.align}
        build = compile_model(given.model, name, train=given.train, ram=given.ram, **how)
        found = verify_training(build, given.steps)
        said = "no difference" if found.difference is None else found.difference.describe()
        print(
            f"{name:<13} {found.steps} steps, {found.values:,} values on {' and '.join(found.devices)}: {said}; "
            f"{found.instructions or 0:,} instructions per step",
            flush=True,
        )
        failed |= found.difference is not None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
