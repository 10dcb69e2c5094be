"""`tinycompile.compile`'s options: what the type checker is told is what `Options` has."""

from __future__ import annotations

from dataclasses import MISSING, fields
from inspect import getdoc
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import tinycompile
from tests.conftest import DIGITS
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
