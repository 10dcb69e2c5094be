"""`tinycompile.compile`'s options: what the type checker is told is what `Options` has."""

from __future__ import annotations

from dataclasses import MISSING, fields
from inspect import getdoc
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tinycompile.errors import UsageError
from tinycompile.frontend import load
from tinycompile.kernels import kernels_for
from tinycompile.model_source import Calibration
from tinycompile.options import CompileOptions, Options, PlanOptions
from tinycompile.passes import optimize

OF_CALIBRATION = {"calib", "calib_method", "calib_effort", "evaluation"}
OF_THE_PIPELINE = {"target", "calibration", "flash_spare"}
"""What `compile` has an argument for, or finds out by itself."""


def test_every_option_can_be_given_and_every_given_one_exists() -> None:
    known = {field.name for field in fields(Options)}
    assert set(get_type_hints(CompileOptions)) - OF_CALIBRATION == known - OF_THE_PIPELINE
    assert set(get_type_hints(PlanOptions)) < set(get_type_hints(CompileOptions))


def test_every_option_is_documented() -> None:
    text = getdoc(Options) or ""
    assert all(f"{field.name}: " in text for field in fields(Options) if field.name != "target") and "target: " in text
    assert "CompileOptions" in (getdoc(tinycompile.compile) or "")


def test_nothing_given_is_every_default() -> None:
    assert Options.of() == Options()
    assert all(field.default is not MISSING or field.default_factory is not MISSING for field in fields(Options))


def test_what_is_given_as_text_or_mapping() -> None:
    options = Options.of(
        "host",
        board_path="boards",
        compatible_with="old",
        labels="classes.txt",
        shapes={"x": (1, 3, 8, 8)},
        calib="samples.npz",
        calib_method="mse",
        calib_effort="high",
    )
    assert options.target == "host"
    assert (options.board_path, options.compatible_with) == (Path("boards"), Path("old"))
    assert options.labels == (Path("classes.txt"),)
    assert options.shapes == (("x", (1, 3, 8, 8)),)
    assert options.calibration == Calibration(Path("samples.npz"), "mse", None, effort="high")


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("ram", "160K", 160 << 10),
        ("ram", np.int64(4096), 4096),
        ("flash", "1M", 1 << 20),
        ("flash", 2048.0, 2048),
        ("flash_offset", "0x8000", 0x8000),
        ("flash_offset", 0, 0),
        ("fast_code", "16K", 16 << 10),
        ("fast_code", "0", 0),
        ("fast_weights", "auto", "auto"),
        ("steps", 200_000, "200000"),
        ("learning_rate", 1, 1.0),
        ("backend", "class", ("class",)),
        ("keep_tokens", ["1=5"], ("1=5",)),
        ("shapes", {"x": [1, np.int32(3)]}, (("x", (1, 3)),)),
        ("train", Path("train.toml"), "train.toml"),
        ("pareto", np.bool_(True), True),
        ("ram", None, None),
    ],
)
def test_options_are_read_as_on_the_command_line(name: str, value: Any, read: object) -> None:
    found = getattr(Options.of(**{name: value}), name)
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ram", "much", "ram: 'much' is not a size; write 65536, 64K or 1M"),
        ("ram", 0, "ram: a size must be positive"),
        ("ram", True, "ram: True is no whole number"),
        ("flash", 0.5, "flash: 0.5 is no whole number"),
        ("flash", float("nan"), "flash: nan is no whole number"),
        ("flash", [1], "flash: [1] is not a size"),
        ("flash_offset", -1, "flash_offset: an offset must not be negative"),
        ("fast_code", "most", "fast_code: 'most' is not a size; write 65536, 64K or 1M; or auto, or 0 for none"),
        ("cores", "2", "cores: '2' is no whole number"),
        ("classes", 2.5, "classes: 2.5 is no whole number"),
        ("learning_rate", "fast", "learning_rate: 'fast' is no number"),
        ("steps", 0.05, "steps: 0.05 is no text"),
        ("updatable", "yes", "updatable: 'yes' is neither True nor False"),
        ("labels", 3, "labels: 3 is no text"),
        ("camera", 3, "camera: 3 is no text"),
        ("backend", 3, "backend: 3 is no list of texts"),
        ("shapes", [1, 3], "shapes: [1, 3] is no mapping of names"),
        ("shapes", {"x": (0, 3)}, "shapes: (0, 3) is no shape"),
        ("states", {"h": 1}, "states: 1 is no text"),
    ],
)
def test_what_no_option_can_be_is_said_by_name(name: str, value: Any, says: str) -> None:
    with pytest.raises(UsageError) as error:
        Options.of(**{name: value})
    assert str(error.value).startswith(says)


def test_none_is_what_isnt_given() -> None:
    nothing: Any = {"board_path": None, "labels": None, "shapes": None, "calib": None, "compatible_with": None}
    assert Options.of(**nothing) == Options()


def test_an_unknown_option_is_named() -> None:
    wrong: Any = {"optimise": "speed"}
    with pytest.raises(TypeError, match="optimise"):
        tinycompile.compile("model.tflite", **wrong)


def test_for_the_smallest_code_no_kernel_takes_instructions_for_cycles() -> None:
    """The M7's single loads: more instructions, fewer cycles, more code."""
    graph = optimize(load(DIGITS / "digits_int8.tflite"))
    single = {}
    for level in ("speed", "size"):
        core = Options("stm32f746", optimize=level).board().core
        kernels = [kernel for found in kernels_for(graph, core) for kernel in found]
        functions = [each for kernel in kernels if kernel.function for each in kernel.function.all_called]
        single[level] = any("_SINGLE" in text for each in functions for text in each.preambles)
        assert any(kernel.cycles is not None for kernel in kernels) == (level == "speed")
    assert single == {"speed": True, "size": False}
