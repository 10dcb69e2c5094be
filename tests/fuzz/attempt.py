"""One file through load, optimise, kernels, plan and C text: it ends in success or in one of our errors."""

from __future__ import annotations

import re
import subprocess
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from tests.fuzz.mutate import NAMES, Mutator
from tinycompile.codegen.emit import emit_project
from tinycompile.errors import TinycompileError
from tinycompile.lowering import lower, project_of
from tinycompile.options import Options
from tinycompile.staging import write_files
from tinycompile.targets import Board, load_board

TARGETS = ("stm32f746", "stm32f746", "mps2-an386", "mps3-an547", "rp2040", "mps2-an385")
COMPILED_SHARE = 0.004
"""Of the files that come through, those whose C a compiler checks."""

_COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_SAFE_PATH = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_./-]*")


def make_file(seed: int, index: int, folder: Path) -> Path:
    """The file of this number; three of five are TFLite."""
    mutator = Mutator(seed, index)
    suffix = ".tflite" if mutator.chance(0.6) else ".onnx"
    stem = str(mutator.pick(NAMES)) if mutator.chance(0.05) else "model"
    path = folder / (re.sub("[/\0]", "_", stem)[:60] + suffix)
    path.write_bytes(mutator.tflite() if suffix == ".tflite" else mutator.onnx())
    return path


def attempt(path: Path, seed: int, index: int, compiled: Path | None = None) -> str:
    """Compile to text.

    Args:
        compiled: a folder in which, now and then, the C goes through the host's compiler.

    Returns:
        "compiled", or the class of our error.

    Raises:
        Exception: anything else is a defect of ours.
    """
    rng = np.random.default_rng([seed, index, 1])
    options = Options(
        target=TARGETS[int(rng.integers(len(TARGETS)))],
        optimize=("balanced", "speed", "size", "ram")[int(rng.integers(4))],
        schedule=("stream", "patch")[int(rng.integers(2))] if rng.random() < 0.15 else "auto",
        io="int8" if rng.random() < 0.2 else "model",
        layout="nhwc" if rng.random() < (0.2 if path.suffix == ".onnx" else 0.05) else "model",
        dtype="float32" if rng.random() < 0.5 and path.suffix == ".onnx" else "int8",
        strict_int8=False,
        match="tflm" if rng.random() < 0.1 and path.suffix == ".tflite" else "litert",
    )
    board = _board(options.target)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            lowered, layout = lower([path], board, options)
            files = emit_project(project_of(board, layout, lowered), single=True)
    except TinycompileError as error:
        if len(str(error)) > 20_000:
            raise AssertionError(f"a message of {len(str(error))} characters") from error
        return type(error).__name__ + (" (stumbled)" if "contradict each other" in error.what else "")
    _check_text(files)
    if compiled is not None and rng.random() < COMPILED_SHARE:
        _compile(files, lowered[0].name, compiled / str(index))
    return "compiled"


@cache
def _board(name: str) -> Board:
    return load_board(name)


def _check_text(files: dict[str, str]) -> None:
    for name, text in files.items():
        if not _SAFE_PATH.fullmatch(name):
            raise AssertionError(f"the path {name!r}")
        if not text.isascii():
            raise AssertionError(f"{name} is not ASCII")
        if name.endswith((".c", ".h")) and not name.startswith(("firmware/", "tinycompile/")):
            code = _COMMENT_OR_STRING.sub("", text)
            if "*/" in code or "/*" in code or "\0" in text or "??/" in text:
                raise AssertionError(f"a comment of {name} doesn't end where it should")


def _compile(files: dict[str, str], model: str, folder: Path) -> None:
    wanted = {k: v for k, v in files.items() if k.startswith("tinycompile/") or "/" not in k}
    write_files(folder, wanted)
    command = ["gcc", "-std=c99", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow"]
    sources = [f"{model}.c", f"{model}_weights.c"]
    done = subprocess.run([*command, "-Wundef", "-Werror", *sources], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr[:2000])
