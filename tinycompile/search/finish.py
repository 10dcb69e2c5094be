"""The end of a search: the best candidates trained at length, quantised, and the best of them built."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.errors import DoesNotFitError, QuantizationWarning, ToolMissingError, UsageError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.pipeline import compile as build_firmware
from tinycompile.quantize import quantize
from tinycompile.search.data import Part, save_calibration, save_labelled
from tinycompile.search.prices import Limits
from tinycompile.search.settings import Search
from tinycompile.search.study import Candidate
from tinycompile.search.tasks import Bench

CALIBRATION = 256
"""Samples that the best are quantised with."""


@dataclass(frozen=True)
class Finalist:
    """A candidate that was trained at length.

    Attributes:
        accuracy, int8_accuracy: the means over the folds, of its floats and quantised.
    """

    candidate: Candidate
    accuracy: float
    int8_accuracy: float

    @property
    def rank(self) -> tuple[float, int]:
        """The best is the least."""
        return -self.int8_accuracy, self.candidate.figures["instructions"]


@dataclass(frozen=True)
class Finished:
    """The best network.

    Attributes:
        test_accuracy, int8_test_accuracy: on samples that nothing was chosen by; None where there are none.
        instructions: executed, as QEMU counts them; None where it can't run the board's firmware.
        ram_bytes, flash_bytes: of its build.
    """

    finalist: Finalist
    finalists: tuple[Finalist, ...]
    test_accuracy: float | None
    int8_test_accuracy: float | None
    instructions: int | None
    ram_bytes: int
    flash_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        chosen = self.finalist
        config = " ".join(f"{name}={value}" for name, value in chosen.candidate.config.items())
        lines = [
            f"best: {config}",
            f"  int8 {chosen.int8_accuracy:.2%} on validation samples, floats {chosen.accuracy:.2%}",
        ]
        if self.test_accuracy is not None and self.int8_test_accuracy is not None:
            lines.append(f"  int8 {self.int8_test_accuracy:.2%} on test samples, floats {self.test_accuracy:.2%}")
        counted = "" if self.instructions is None else f", {self.instructions:,} instructions executed"
        lines.append(f"  firmware: {self.ram_bytes:,} bytes of RAM, {self.flash_bytes:,} of flash{counted}")
        return lines


def finished(bench: Bench, front: Sequence[Candidate], search: Search, progress: Callable[[str], None]) -> Finished:
    """Train the candidates in every fold, quantise them, build the best that keeps the limits.

    Raises:
        UsageError: none keeps them once it is built.
    """
    finalists = list[Finalist]()
    for each in front:
        found = _finalist(bench, each, search)
        progress(f"finalist: {found.accuracy:.2%}, int8 {found.int8_accuracy:.2%}")
        finalists.append(found)
    excess = ""
    for finalist in sorted(finalists, key=lambda f: f.rank):
        built = _built(bench, finalist, search)
        if isinstance(built, str):
            excess = built
            progress(f"left out, as its firmware {built}")
            continue
        return replace(built, finalists=tuple(finalists))
    raise UsageError(f"no finalist keeps the limits: its firmware {excess}", hint="--finalists, or larger limits")


def _finalist(bench: Bench, candidate: Candidate, search: Search) -> Finalist:
    """A file has what was found, so that an interrupted search needn't train it again."""
    known = search.output / "finalists" / f"{candidate.number:05}.json"
    if known.exists():
        return Finalist(candidate, *json.loads(known.read_text()))
    known.parent.mkdir(exist_ok=True)
    recipe, reached = replace(search.recipe, epochs=search.final_epochs), list[tuple[float, float]]()
    for fold, (part, judged) in enumerate(bench.data.folds):
        seed = search.seed + fold
        trained, accuracy = bench.trainer(bench.model(candidate.config, fold), part, judged, recipe, seed, None, 0)
        reached.append((accuracy, _quantized_accuracy(trained, part, judged, known.with_suffix(f".{fold}"))))
    found = Finalist(candidate, *(sum(each) / len(each) for each in zip(*reached, strict=True)))
    known.write_text(json.dumps([found.accuracy, found.int8_accuracy]))
    return found


def _quantized_accuracy(proto: Any, part: Part, judged: Part, stem: Path) -> float:
    """Of the int8 model that `quantize` makes."""
    model, calib, samples = (stem.with_suffix(suffix) for suffix in (".onnx", ".calib.npz", ".judged.npz"))
    onnx_module().save(proto, str(model))
    save_calibration(calib, part, CALIBRATION)
    save_labelled(samples, judged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        found = quantize(model, calib, evaluation=samples)
    for file in (model, calib, samples):
        file.unlink()
    if found.accuracy is None:
        raise AssertionError("labelled samples give an accuracy")
    return found.accuracy.int8_value


def _built(bench: Bench, finalist: Finalist, search: Search) -> Finished | str:
    """The firmware of a network that all known samples trained; in words by what it exceeds the limits."""
    folder, data, limits = search.output, bench.data, search.limits
    recipe = replace(search.recipe, epochs=search.final_epochs)
    judged = data.test or data.folds[0][1]
    model = bench.model(finalist.candidate.config, None)
    trained, accuracy = bench.trainer(model, data.known, judged, recipe, search.seed, None, 0)
    onnx_module().save(trained, str(folder / "best.onnx"))
    calib = save_calibration(folder / "calib.npz", data.known, CALIBRATION)
    tested = None if data.test is None else save_labelled(folder / "test.npz", data.test)
    options = limits.options(search.target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        try:
            build = build_firmware(
                folder / "best.onnx",
                search.target,
                output=folder / "firmware",
                force=True,
                calib=calib,
                evaluation=tested,
                io="int8",
                ram=options.ram,
                flash=options.flash,
            )
        except DoesNotFitError as error:
            return f"does not fit: {error}"
    ram, flash = build.report["ram"]["total_bytes"], build.report["flash"]["total_bytes"]
    instructions = None
    if build.board.emulated() is not None:
        with suppress(ToolMissingError):
            instructions = build.execute([_zeros(build.inputs[0].shape[1:])]).instructions[0]
    over = _over(limits, ram, flash, instructions)
    if over:
        return over
    if data.test is None:
        return Finished(finalist, (), None, None, instructions, ram, flash)
    int8: float = build.report["quantization"]["accuracy"]["int8_value"]
    return Finished(finalist, (), accuracy, int8, instructions, ram, flash)


def _zeros(shape: Sequence[int]) -> Array:
    return np.zeros((1, 1, *shape), np.int8)


def _over(limits: Limits, ram: int, flash: int, instructions: int | None) -> str:
    pairs = (
        ("RAM", ram, limits.ram),
        ("flash", flash, limits.flash),
        ("instructions", instructions, limits.instructions),
    )
    return ", ".join(
        f"takes {found:,} of {limit:,} {name}"
        for name, found, limit in pairs
        if found is not None and limit is not None and found > limit
    )
