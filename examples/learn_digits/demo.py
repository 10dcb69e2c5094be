"""A digit classifier whose camera was turned learns again, in QEMU: with a replay buffer, and without one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tinycompile
from tinycompile.build import Build
from tinycompile.errors import ToolFailedError
from tinycompile.toolchain import require, run

HERE = Path(__file__).parent
DIGITS = HERE.parent / "digits"
ANGLE, CONTRAST = 35, 0.6
LEARNED = 232
"""Of 382 labelled digits; the others are for measuring."""
OBJECTS = "learn_digits replay startup semihosting".split()

Images = NDArray[np.float64]


def turned(images: Images, degrees: float) -> Images:
    """Images (n, size, size, 1) around their centre, between four pixels each; what comes from outside is 0."""
    size, border = images.shape[1], 3
    angle, (row, column) = np.deg2rad(degrees), np.mgrid[:size, :size] - (size - 1) / 2
    rows = np.cos(angle) * row + np.sin(angle) * column + (size - 1) / 2 + border
    columns = np.cos(angle) * column - np.sin(angle) * row + (size - 1) / 2 + border
    wide = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)))
    i, j = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - i)[..., None], (columns - j)[..., None]
    upper = (1 - right) * wide[:, i, j] + right * wide[:, i, j + 1]
    return (1 - down) * upper + down * ((1 - right) * wide[:, i + 1, j] + right * wide[:, i + 1, j + 1])


def samples(build: Build) -> tuple[bytes, bytes]:
    """(stream, test): all of one digit come before the next digit, as a device may see them."""
    data = np.load(DIGITS / "digits_calib.npz")
    labels: NDArray[np.uint8] = data["y"]
    images = turned(data["x"].astype(np.float64), ANGLE) * CONTRAST
    (t,) = build.inputs
    pixels = np.clip(np.round(images / t.scale) + t.zero_point, -128, 127).astype(np.int8).reshape(len(labels), -1)
    records: list[bytes] = [row.tobytes() + bytes([label]) for row, label in zip(pixels, labels, strict=True)]
    order: list[int] = np.argsort(labels[:LEARNED], kind="stable").tolist()
    return b"".join(records[i] for i in order), b"".join(records[LEARNED:])


def build_model(folder: Path, target: str = "mps2-an386") -> Build:
    """The digits model with a training step, under the name that main.c knows."""
    shutil.copy(DIGITS / "digits_int8.tflite", folder / "net.tflite")
    return tinycompile.compile(
        folder / "net.tflite", target, output=folder / "out", train="last:3, biases", learning_rate=0.004
    )


def simulate(build: Build, replay: int) -> str:
    """What main.c prints, which learns `replay` samples again with each new one: a firmware beside the build's own.

    Raises:
        ToolFailedError: it ended with an error.
    """
    firmware = build.folder / "firmware"
    for name, own in (("main.c", "learn_digits.c"), ("replay.c", "replay.c"), ("replay.h", "replay.h")):
        shutil.copy(HERE / name, firmware / own)
    stream, test = samples(build)
    (build.folder / "stream.bin").write_bytes(stream)
    (build.folder / "test.bin").write_bytes(test)
    elf = build.folder / "build" / "learn_digits.elf"
    for old in (elf, build.folder / "build" / "firmware" / "learn_digits.o"):
        old.unlink(missing_ok=True)  # REPLAY may be another one
    objects = " ".join(f"build/firmware/{name}.o" for name in OBJECTS)
    goal = ["NAME=build/learn_digits", "build/learn_digits.elf"]
    command = ["make", "--no-print-directory", *goal, f"FIRMWARE={objects}"]
    run([*command, f"OPTIMIZATION=-O2 -DREPLAY={replay}u", "STACK_BYTES=2048"], cwd=build.folder)
    board = build.emulated.qemu
    assert board is not None
    qemu = [require("qemu-system-arm"), "-machine", board.machine, "-nographic", "-monitor", "none", "-serial", "none"]
    qemu += ["-semihosting-config", "enable=on,target=native", "-icount", f"shift={board.icount_shift}"]
    done = subprocess.run(
        [*qemu, "-kernel", str(elf.resolve())],
        cwd=build.folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise ToolFailedError(f"the firmware ended with {done.returncode}", why=f"{done.stdout}{done.stderr}")
    return f"{done.stdout}{done.stderr}"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        build = build_model(Path(name))
        for replay in (0, 4):
            sys.stdout.write(f"{replay} samples learned again with each new one\n{simulate(build, replay)}\n")


if __name__ == "__main__":
    main()
