"""The end of a search: the best candidates trained at length, quantised, and the best of them built."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tinycompile.costing import costs_of_files
from tinycompile.errors import DoesNotFitError, QuantizationWarning, ToolMissingError, UsageError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.pipeline import compile as build_firmware
from tinycompile.search.cluster import Cluster
from tinycompile.search.data import CALIBRATION, save_calibration, save_labelled
from tinycompile.search.pool import Pool
from tinycompile.search.pricing import BEST
from tinycompile.search.resolution import sample_shape
from tinycompile.search.settings import Search
from tinycompile.search.study import Candidate
from tinycompile.search.tasks import Bench, Final


@dataclass(frozen=True)
class Finalist:
    """A candidate that was trained at length.

    Attributes:
        accuracy, int8_accuracy: the means over the folds, of its floats and quantised.
        firmware: what its firmware takes, of each fold's int8 model as it would be built: the most of `ram_bytes`,
            `flash_bytes` and `instructions`; None where that isn't known.
        excess: by what such a firmware exceeds a limit, in words.
    """

    candidate: Candidate
    accuracy: float
    int8_accuracy: float
    firmware: dict[str, int] | None = None
    excess: str = ""

    @property
    def rank(self) -> tuple[bool, float, int]:
        """The best is the least; those that exceed a limit come last."""
        figures = self.firmware or self.candidate.figures
        return bool(self.excess), -self.int8_accuracy, figures["instructions"]

    def line(self) -> str:
        """For people."""
        figures = self.firmware or self.candidate.figures
        return (
            f"{self.accuracy:.2%}, int8 {self.int8_accuracy:.2%}; {figures['instructions']:,} instructions, "
            f"{figures['ram_bytes']:,} bytes of RAM, {figures['flash_bytes']:,} of flash"
            f"{' as built' if self.firmware else ''}{f'; its firmware {self.excess}' if self.excess else ''}"
        )


@dataclass(frozen=True)
class Finished:
    """The best network.

    Attributes:
        test_accuracy, int8_test_accuracy: on samples that nothing was chosen by; None where there are none.
        instructions: executed, as QEMU counts them; None where it can't run the board's firmware.
        ram_bytes, flash_bytes: of its build.
        sample: the shape of what it takes.
    """

    finalist: Finalist
    finalists: tuple[Finalist, ...]
    test_accuracy: float | None
    int8_test_accuracy: float | None
    instructions: int | None
    ram_bytes: int
    flash_bytes: int
    sample: tuple[int, ...]

    @property
    def firmware(self) -> dict[int, dict[str, int]]:
        """What finalists' firmware takes, by the candidate's number, as far as that is known."""
        return {each.candidate.number: each.firmware for each in self.finalists if each.firmware is not None}

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
        lines.append(f"  samples of {'x'.join(map(str, self.sample))}")
        lines.append(f"  firmware: {self.ram_bytes:,} bytes of RAM, {self.flash_bytes:,} of flash{counted}")
        return lines


def finished(
    front: Sequence[Candidate], search: Search, pool: Pool | Cluster, progress: Callable[[str], None]
) -> Finished:
    """Train the candidates in every fold, quantise them, build the best that keeps the limits.

    Raises:
        UsageError: none keeps them once it is built.
    """
    bench = Bench.of(search.setup)
    folds = len(bench.data.folds)
    finalists = list[Finalist]()
    for each in trained(front, search, pool, folds):
        finalists.append(priced(each, search, folds))
        progress(f"finalist after {search.final_epochs} epochs: {finalists[-1].line()}")
    excess = ""
    for finalist in sorted(finalists, key=lambda f: f.rank):
        built = _built(bench, finalist, search)
        if isinstance(built, str):
            excess = built
            progress(f"left out, as its firmware {built}")
            continue
        return replace(built, finalists=tuple(finalists))
    raise UsageError(f"no finalist keeps the limits: its firmware {excess}", hint="--finalists, or larger limits")


def trained(front: Sequence[Candidate], search: Search, pool: Pool | Cluster, folds: int) -> list[Finalist]:
    """The best, trained at length in every fold; an interrupted search's needn't be trained again."""
    tasks = [Final(each.number, each.config, fold, search.final_epochs) for each in front for fold in range(folds)]
    for _ in pool.run([task for task in tasks if task.reached(search.output) is None]):
        pass
    reached = {(task.number, task.fold): task.reached(search.output) or (0.0, 0.0) for task in tasks}

    def mean(each: Candidate, which: int) -> float:
        return sum(reached[each.number, fold][which] for fold in range(folds)) / folds

    return [Finalist(each, mean(each, 0), mean(each, 1)) for each in front]


def priced(finalist: Finalist, search: Search, folds: int) -> Finalist:
    """With what its firmware takes, by the int8 model of each fold: who trained it doesn't need a compiler."""
    options, limits, candidate = search.limits.options(search.target), search.limits, finalist.candidate
    tasks = [Final(candidate.number, candidate.config, fold, search.final_epochs) for fold in range(folds)]
    if options.board().is_host:
        return finalist
    try:
        pairs = [costs_of_files([task.model(search.output)], options, measure="whole")[0] for task in tasks]
    except DoesNotFitError as error:
        return replace(finalist, excess=f"does not fit: {error.what}")
    except ToolMissingError:
        return finalist
    found = [cost for _, cost in pairs]
    names = "ram_bytes", "flash_bytes", "instructions"
    figures = {name: max(getattr(cost, name) for cost in found) for name in names}
    return replace(finalist, firmware=figures, excess=limits.exceeded_by(*figures.values()))


def _built(bench: Bench, finalist: Finalist, search: Search) -> Finished | str:
    """The firmware of a network that all known samples trained; in words by what it exceeds the limits."""
    folder, data, limits = search.output, bench.data, search.limits
    recipe = replace(search.recipe, epochs=search.final_epochs)
    judged = data.test or data.folds[0][1]
    trained, accuracy = bench.trained(finalist.candidate.config, None, judged, recipe, seed=search.seed)
    onnx_module().save(trained, str(folder / f"{BEST}.onnx"))
    calib = save_calibration(folder / "calib.npz", data.known.seen_by(trained), CALIBRATION)
    tested = None if data.test is None else save_labelled(folder / "test.npz", data.test.seen_by(trained))
    options = limits.options(search.target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        try:
            build = build_firmware(
                folder / f"{BEST}.onnx",
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
            return f"does not fit: {error.what}"
    ram, flash = build.report["ram"]["total_bytes"], build.report["flash"]["total_bytes"]
    instructions = None
    if build.board.emulated() is not None:
        with suppress(ToolMissingError):
            instructions = build.execute([_zeros(build.inputs[0].shape[1:])]).instructions[0]
    over = limits.exceeded_by(ram, flash, instructions)
    if over:
        return over
    if data.test is None:
        return Finished(finalist, (), None, None, instructions, ram, flash, sample_shape(trained))
    int8: float = build.report["quantization"]["accuracy"]["int8_value"]
    return Finished(finalist, (), accuracy, int8, instructions, ram, flash, sample_shape(trained))


def _zeros(shape: Sequence[int]) -> Array:
    return np.zeros((1, 1, *shape), np.int8)
