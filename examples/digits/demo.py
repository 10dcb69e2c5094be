"""`make demo`: the digits model as STM32F746 firmware, run in QEMU on handwritten digits nobody trained it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

import tinycompile
from tinycompile.report.table import print_report

HERE = Path(__file__).parent
SHADES = " .:-=+*#%@"


def drawing(image: np.ndarray) -> list[str]:
    """Eight lines of text for an int8 image (8, 8, 1)."""
    levels = (image[..., 0].astype(int) + 128) * len(SHADES) // 256
    return ["".join(2 * SHADES[level] for level in row) for row in levels]


def main() -> None:
    console = Console(highlight=False, width=max(110, Console().width))
    data = np.load(HERE / "digits_samples.npz")
    build = tinycompile.compile(HERE / "digits_int8.tflite", target="stm32f746", output=Path("build/digits"))
    scores = build.run(data["input_0"], on="qemu")
    recognised, labels = np.argmax(scores, axis=1), data["labels"]
    for line in zip(*(drawing(image) for image in data["input_0"][:5]), strict=True):
        console.print("  ".join(line), markup=False)
    console.print("  ".join(f"{f'{digit}':16.16}" for digit in recognised[:5]))
    correct = int(np.sum(recognised == labels))
    exact = np.array_equal(scores, data["output_0"])
    console.print(f"\n{correct} of {len(labels)} digits recognised; ", end="")
    console.print("every output equals LiteRT's, bit for bit" if exact else "OUTPUTS DIFFER FROM LITERT'S")
    print_report(build.report, console, folder=build.folder)
    console.print("the C project  build/digits")
    if not exact:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
