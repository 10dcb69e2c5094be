"""Every state after every step of training, in QEMU on each core, against the interpreter: bit for bit.

    python -m benchmarks.training_digest [--model FILE] [--train SCHEME] [--boards rp2040,...] [--steps 20] [--ram BYTES]

The firmware is the build's own, but that it trains where it would predict, and writes the memory of states in place of
its outputs. Ends with status 1 where a state differs.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.program import Program
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.emulator import execute
from tinycompile.ir import Array, TensorType
from tinycompile.lowering import imported, lower, project_of, ready
from tinycompile.options import Options
from tinycompile.staging import write_files
from tinycompile.toolchain import make
from tinycompile.training.step import TrainingStep, training_of
from tinycompile.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples" / "digits" / "digits_int8.tflite"
BOARDS = ("rp2040", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547")
"""Cortex-M0+, M3, M4, M7, M33 and M55."""

States = Mapping[str, Array]


def samples_of(step: TrainingStep, steps: int) -> list[Array]:
    """(steps, *shape) of each input; the label of each step is its number modulo the classes."""
    rng = np.random.default_rng(0)
    types = [step.graph.types[name] for name in step.graph.inputs]
    return [_samples(rng, t, steps) for t in types]


def _samples(rng: np.random.Generator, t: TensorType, steps: int) -> Array:
    if t.dtype == FLOAT32:
        return rng.normal(size=(steps, *t.shape)).astype(np.float32)
    return rng.integers(*t.dtype.range, (steps, *t.shape), endpoint=True).astype(t.dtype.carrier)


def defined(step: TrainingStep, inputs: list[Array]) -> list[States]:
    """What the states are after each step."""
    trainer, found = Trainer(step), list[States]()
    for number in range(len(inputs[0])):
        trainer.train(number % classes_of(step), *(array[number] for array in inputs))
        found.append(dict(trainer.states))
    return found


def classes_of(step: TrainingStep) -> int:
    if step.classes is None:
        raise SystemExit("only models with class labels are trained here")
    return step.classes


def training_main(text: str, model: str, classes: int) -> str:
    """A firmware's main.c that trains."""
    state = f"semihosting_write(file, context.state, {model.upper()}_STATE_BYTES)"
    for old, new in (
        (f"{model}_invoke(&context)", f"{model}_train_step(&context, (int32_t)((step - 1u) % {classes}u), NULL)"),
        (f"semihosting_write(file, {model}_output_0(&context), {model.upper()}_OUTPUT_0_BYTES)", state),
        ('#include "board.h"', '#include <stddef.h>\n\n#include "board.h"'),
    ):
        if text.count(old) != 1:
            raise SystemExit(f"main.c doesn't have {old!r} once")
        text = text.replace(old, new)
    return text


def executed(options: Options, source: Path, inputs: list[Array], folder: Path) -> list[States]:
    """The same of the board's firmware."""
    board = options.board()
    models, layout = lower([source], board, options)
    project = project_of(board, layout, models)
    (program,) = project.programs
    write_files(folder, emit_project(project))
    main = folder / "firmware" / "main.c"
    step = training_of(program.graph)
    if step is None:
        raise SystemExit("no training step")
    main.write_text(training_main(main.read_text("utf-8"), program.model, classes_of(step)), "utf-8")
    make(folder, "all", toolchain=board.toolchain)
    stand_in = folder / "firmware_qemu.elf"
    memory = TensorType((program.state_bytes,), INT8)
    elf = stand_in if stand_in.exists() else folder / "firmware.elf"
    run = execute(elf, board.emulated() or board, inputs, [memory])
    return [states_in(program, row.tobytes()) for row in run.outputs[0]]


def states_in(program: Program, memory: bytes) -> States:
    places = [state.tensor for state in program.states]
    return {
        at.name: np.frombuffer(memory, at.type.dtype.carrier, at.type.elements, at.offset).reshape(at.type.shape)
        for at in places
    }


def digest(states: States) -> str:
    joined = b"".join(np.ascontiguousarray(states[name]).tobytes() for name in sorted(states))
    return hashlib.sha256(joined).hexdigest()[:16]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=DIGITS)
    parser.add_argument("--train", default="last:2, biases")
    parser.add_argument("--boards", default=",".join(BOARDS))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--ram", type=int, help="limit for the arena, in bytes")
    given = parser.parse_args()
    plain = Options(train=given.train)
    step = training_of(ready(imported(given.model, plain), plain))
    if step is None:
        raise SystemExit("no training step")
    inputs = samples_of(step, given.steps)
    expected = defined(step, inputs)
    print(f"interpreter   {digest(expected[-1])} after {given.steps} steps")
    failed = False
    for name in given.boards.split(","):
        with tempfile.TemporaryDirectory(prefix="training-digest-") as folder:
            found = executed(Options(target=name, train=given.train, ram=given.ram), given.model, inputs, Path(folder))
        wrong = [
            (number, state)
            for number, (ours, theirs) in enumerate(zip(expected, found, strict=True))
            for state in ours
            if not np.array_equal(ours[state], theirs[state])
        ]
        print(f"{name:<13} {digest(found[-1])} {'every state of every step' if not wrong else f'differs: {wrong[0]}'}")
        failed |= bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
