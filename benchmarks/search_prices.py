"""`make bench-search-prices`: how near `cost` is to builds, on random candidates of the search's spaces.

Each is quantised on random samples, and `cost` of that, as `--measure` says, is compared with its build, run in QEMU. With `--untrained` it is the price that a search gives the network before it has weights: then channels that
happen to be constant are still there. "arena" is arena, scratch and states; "ram" and "flash" are all of
`firmware.elf`; instructions are those executed. A line per figure, space and board: the median, nine in ten, the most.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinycompile
from benchmarks import unlike
from tinycompile.costing import Cost, costs_of_files
from tinycompile.errors import DoesNotFitError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.measuring import Measuring
from tinycompile.options import Options
from tinycompile.search.pricing import price
from tinycompile.search.space import Config, NoNetwork, Space, load_space

UNLIKE = str(Path(unlike.__file__))
SHAPES = {
    "mobile": (1, 8, 8),
    "plain": (1, 8, 8),
    "separable": (6, 1, 100),
    "hybrid": (1, 8, 8),
    "unlike": unlike.SHAPE,
}
CLASSES = 10
FIGURES = ("arena", "ram", "flash", "instructions")


@dataclass(frozen=True)
class How:
    """What is compared.

    Attributes:
        measures: prices of each are compared with the same builds.
        untrained: the price before there are weights, not the cost of the quantised model.
    """

    target: str
    measures: tuple[Measuring, ...]
    untrained: bool
    verbose: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="candidates of each space")
    parser.add_argument("--target", default="stm32f103")
    parser.add_argument("--spaces", nargs="*", default=["mobile", "separable", "hybrid"], help="or unlike, or a file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", choices=("none", "known", "all", "whole"), nargs="+", default=["none"])
    parser.add_argument("--untrained", action="store_true", help="prices of networks without weights")
    parser.add_argument("--verbose", action="store_true", help="a line for each candidate")
    args = parser.parse_args()
    for name in args.spaces:
        space = load_space(UNLIKE if name == "unlike" else name)
        compared(space, args.count, args.seed, How(args.target, tuple(args.measure), args.untrained, args.verbose))


def compared(space: Space, count: int, seed: int, how: How) -> None:
    """Prints how far prices are off."""
    random = np.random.default_rng(seed)
    off, seconds = defaultdict[str, list[tuple[float, ...]]](list), defaultdict[str, float](float)
    while len(off[how.measures[0]]) < count:
        config = space.sampled(random)
        try:
            proto = space.network(config, SHAPES[space.name], CLASSES)
            with tempfile.TemporaryDirectory() as folder:
                found = dict[Measuring, tuple[int, ...]]()
                for measure in how.measures:
                    begun = cpu()
                    found[measure] = figures_of(priced(proto, SHAPES[space.name], how, measure, Path(folder)))
                    seconds[measure] += cpu() - begun
                build = built(SHAPES[space.name], how.target, Path(folder))
        except (NoNetwork, DoesNotFitError):
            continue
        for measure, figures in found.items():
            off[measure].append(tuple(p / b - 1 for p, b in zip(figures, build, strict=True)))
            if how.verbose:
                parts = " ".join(f"{each:7.2%}" for each in off[measure][-1])
                print(f"{measure:5} {parts}", figures, build, shown(config), flush=True)
    for measure, each in off.items():
        print_summary(f"{space.name:10} {how.target:10} {measure:5}", np.array(each), seconds[measure] / count)


def print_summary(title: str, off: Array, seconds: float) -> None:
    """Of all candidates: how far each figure is off."""
    for figure, each in zip(FIGURES, off.T, strict=True):
        parts = np.quantile(np.abs(each), (0.5, 0.9, 1.0))
        print(
            f"{title} {figure:13} off by {parts[0]:.2%}, {parts[1]:.2%} (90 %), {parts[2]:.2%} (most); "
            f"exact {np.mean(each == 0):.0%}, within 1 % {np.mean(np.abs(each) <= 0.01):.0%}"
        )
    print(f"{title} {seconds:.2f} s of CPU each", flush=True)


def figures_of(found: Cost) -> tuple[int, ...]:
    """Those that are compared."""
    arena = found.arena_bytes + found.scratch_bytes + found.state_bytes
    return arena, found.ram_bytes, found.flash_bytes, found.instructions


def cpu() -> float:
    """Seconds of this process and of those that it has waited for."""
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def priced(proto: Any, shape: tuple[int, ...], how: How, measure: Measuring, folder: Path) -> Cost:
    """What a candidate is said to take; its model and its samples are left in the folder."""
    onnx_module().save(proto, str(folder / "candidate.onnx"))
    samples = np.random.default_rng(1).normal(0, 1, (24, *shape)).astype(np.float32)
    np.savez(folder / "calib.npz", input_0=samples)
    if how.untrained:
        options = Options(how.target, io="int8")
        return price(proto, options.board(), options, measure=measure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = Options.of(how.target, calib=folder / "calib.npz", calib_method="minmax", io="int8")
        ((_, found),) = costs_of_files([folder / "candidate.onnx"], chosen, measure=measure)
    return found


def built(shape: tuple[int, ...], target: str, folder: Path) -> tuple[int, int, int, int]:
    """(arena, RAM, flash, executed instructions) of a candidate's firmware."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build = tinycompile.compile(
            folder / "candidate.onnx",
            target,
            output=folder / "out",
            calib=folder / "calib.npz",
            calib_method="minmax",
            io="int8",
            pareto=False,
        )
    ram = build.report["ram"]
    run = build.execute([np.random.default_rng(1).integers(-128, 128, (1, 1, *shape)).astype(np.int8)])
    return (
        ram["arena_bytes"] + ram["scratch_bytes"] + ram["state_bytes"],
        ram["total_bytes"],
        build.report["flash"]["total_bytes"],
        run.instructions[0],
    )


def shown(config: Config) -> str:
    return " ".join(f"{name}={value}" for name, value in config.items())


if __name__ == "__main__":
    main()
