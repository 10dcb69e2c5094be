"""MobileNetV2 in 320 KiB of RAM: build, run in QEMU, compare with LiteRT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import tinycompile
from tinycompile.verify.compare import verify_build

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT.parent / "shared" / "models" / "mobilenet_v2_int8.tflite"


def main() -> None:
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    if not model.exists():
        sys.exit(f"{model} is not there: give the path of an int8 MobileNetV2 (.tflite)")
    build = tinycompile.compile(model, target="stm32f746", output=ROOT / "build" / "mobilenet_v2")
    report = build.report
    print(f"arena {report['ram']['arena_bytes']:,} bytes, {len(report['stages'])} stages row by row")
    for memory in report["memories"]:
        holds = ", ".join(f"{part} {size:,}" for part, size in memory["holds"].items())
        print(f"  {memory['name']:6} {memory['bytes']:>10,} bytes: {holds}")
    sample = np.random.default_rng(0).integers(-128, 128, (1, *build.inputs[0].shape)).astype(np.int8)
    outcome = verify_build(build, [sample])
    print(outcome.difference.describe() if outcome.difference else f"bit-exact: {outcome.values:,} values compared")
    print(f"{build.report['run']['instructions']:,} instructions per inference in QEMU")


if __name__ == "__main__":
    main()
