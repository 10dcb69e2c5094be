"""An A/B update of weights in QEMU: power is cut at one byte after the other, and nothing is ever mixed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import tinycompile
from tinycompile.build import Build
from tinycompile.errors import MismatchError
from tinycompile.toolchain import require, run

HERE = Path(__file__).parent
DIGITS = HERE.parent / "digits"
OBJECTS = "demo ab_update startup semihosting".split()


def build(model: Path, folder: Path, target: str) -> Build:
    """A model, under the name that demo.c knows, with its weights apart."""
    folder.mkdir()
    shutil.copy(model, folder / "net.tflite")
    return tinycompile.compile(folder / "net.tflite", target, output=folder / "out", weights="separate")


def simulate(old: Build, new: Build, bad: Build, x: np.ndarray, step: int = 1) -> str:
    """Runs demo.c in QEMU inside of the old build's folder, as a firmware beside the build's own.

    Args:
        old, new, bad: builds of the same graph; the trial accepts the results of `new` only.
        x: an input. step: bytes between two power cuts.

    Returns:
        What it printed.

    Raises:
        MismatchError: the weights need other code, or an update ended with something else than old or new.
    """
    graphs = {each.report["weights_file"]["graph"] for each in (old, new, bad)}
    if len(graphs) > 1:
        raise MismatchError("the retrained weights need other code", hint="docs/separate_weights.md")
    firmware = old.folder / "firmware"
    for source in ("ab_update.c", "ab_update.h", "demo.c"):
        shutil.copy(HERE / source, firmware / source)
    for name, each in (("old", old), ("new", new), ("bad", bad)):
        assert each.weights is not None
        shutil.copy(each.weights, old.folder / f"{name}.bin")
    (old.folder / "input.bin").write_bytes(x.tobytes())
    objects = " ".join(f"build/firmware/{name}.o" for name in OBJECTS)
    elf = old.folder / "build" / "ab_update.elf"
    elf.unlink(missing_ok=True)
    (old.folder / "build" / "firmware" / "demo.o").unlink(missing_ok=True)  # STEP may be another one
    command = ["make", "--no-print-directory", "NAME=build/ab_update", "build/ab_update.elf", f"FIRMWARE={objects}"]
    run([*command, f"OPTIMIZATION=-O2 -DSTEP={step}u", "STACK_BYTES=2048"], cwd=old.folder)
    board = old.emulated.qemu
    assert board is not None
    qemu = [require("qemu-system-arm"), "-machine", board.machine, "-nographic", "-monitor", "none", "-serial", "none"]
    qemu += ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf.resolve())]
    done = subprocess.run(qemu, cwd=old.folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise MismatchError("an interrupted update went wrong", why=f"{done.stdout}{done.stderr}")
    return f"{done.stdout}{done.stderr}"


def retrained(content: bytes, seed: int) -> bytes:
    """Stands in for training: some weights of the digits model change places within their filters."""
    import tflite

    model = tflite.Model.GetRootAsModel(content, 0)
    graph, changed, rng = model.Subgraphs(0), bytearray(content), np.random.default_rng(seed)
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        data = model.Buffers(tensor.Buffer()).DataAsNumpy()
        if tensor.Type() != tflite.TensorType.INT8 or tensor.ShapeLength() != 4 or isinstance(data, int):
            continue
        at, filters = content.find(data.tobytes()), tensor.Shape(0)
        values = np.frombuffer(content, np.uint8, data.size, at).reshape(filters, -1).copy()
        for row in values:
            one, other = rng.choice(values.shape[1], 2, replace=False)
            row[one], row[other] = row[other], row[one]
        changed[at : at + data.size] = values.tobytes()
    return bytes(changed)


def main() -> None:
    """The digits model and two retrained ones, with a power cut at every 512th byte and at each of the last ones."""
    content = (DIGITS / "digits_int8.tflite").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builds = list[Build]()
        for index, model in enumerate((content, retrained(content, 1), retrained(content, 2))):
            (folder / f"{index}.tflite").write_bytes(model)
            builds.append(build(folder / f"{index}.tflite", folder / str(index), "mps2-an386"))
        x = np.load(DIGITS / "digits_samples.npz")["input_0"][0]
        sys.stdout.write(simulate(*builds, x, step=512))


if __name__ == "__main__":
    main()
