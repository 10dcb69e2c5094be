"""`make bench-search-prices`: how near `cost` is to builds, on random candidates of the search's spaces.

Each is quantised on random samples, and `cost` of that, with `--measure` by measured layers, is compared with its build,
run in QEMU. With `--untrained` it is the price that a search gives the network before it has weights: then channels that
happen to be constant are still there. "arena" is arena, scratch and states; "ram" and "flash" are all of
`firmware.elf`; instructions are those executed. A line per figure, space and board: the median, nine in ten, the most.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinycompile
from benchmarks import unlike
from tinycompile.costing import Cost, costs_of_files
from tinycompile.errors import DoesNotFitError
from tinycompile.frontend.onnx_module import onnx_module
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
        untrained: the price before there are weights, not the cost of the quantised model.
    """

    target: str
    measure: Measuring
    untrained: bool
    verbose: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="candidates of each space")
    parser.add_argument("--target", default="stm32f103")
    parser.add_argument("--spaces", nargs="*", default=["mobile", "separable", "hybrid"], help="or unlike, or a file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", choices=("none", "known", "all", "whole"), default="none")
    parser.add_argument("--untrained", action="store_true", help="prices of networks without weights")
    parser.add_argument("--verbose", action="store_true", help="a line for each candidate")
    args = parser.parse_args()
    for name in args.spaces:
        space = load_space(UNLIKE if name == "unlike" else name)
        compared(space, args.count, args.seed, How(args.target, args.measure, args.untrained, args.verbose))


def compared(space: Space, count: int, seed: int, how: How) -> None:
    """Prints how far prices are off."""
    random = np.random.default_rng(seed)
    off, seconds, layers, measured = list[tuple[float, ...]](), 0.0, 0, 0
    while len(off) < count:
        config = space.sampled(random)
        try:
            proto = space.network(config, SHAPES[space.name], CLASSES)
            with tempfile.TemporaryDirectory() as folder:
                begun = cpu()
                found = priced(proto, SHAPES[space.name], how, Path(folder))
                took = cpu() - begun
                build = built(SHAPES[space.name], how.target, Path(folder))
        except (NoNetwork, DoesNotFitError):
            continue
        seconds, layers, measured = seconds + took, layers + len(found.layers), measured + found.measured_layers
        figures = (
            found.arena_bytes + found.scratch_bytes + found.state_bytes,
            found.ram_bytes,
            found.flash_bytes,
            found.instructions,
        )
        off.append(tuple(p / b - 1 for p, b in zip(figures, build, strict=True)))
        if how.verbose:
            print(" ".join(f"{each:7.2%}" for each in off[-1]), figures, build, shown(config), flush=True)
    for figure, each in zip(FIGURES, np.array(off).T, strict=True):
        parts = np.quantile(np.abs(each), (0.5, 0.9, 1.0))
        print(
            f"{space.name:10} {how.target:10} {figure:13} off by {parts[0]:.2%}, {parts[1]:.2%} (90 %), {parts[2]:.2%} "
            f"(most); exact {np.mean(each == 0):.0%}, within 1 % {np.mean(np.abs(each) <= 0.01):.0%}"
        )
    print(
        f"{space.name:10} {how.target:10} {measured} of {layers} layers measured; {seconds / count:.2f} s of CPU each"
    )


def cpu() -> float:
    """Seconds of this process and of those that it has waited for."""
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def priced(proto: Any, shape: tuple[int, ...], how: How, folder: Path) -> Cost:
    """What a candidate is said to take; its model and its samples are left in the folder."""
    onnx_module().save(proto, str(folder / "candidate.onnx"))
    samples = np.random.default_rng(1).normal(0, 1, (24, *shape)).astype(np.float32)
    np.savez(folder / "calib.npz", input_0=samples)
    if how.untrained:
        options = Options(how.target, io="int8")
        return price(proto, options.board(), options, measure=how.measure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = Options.of(how.target, calib=folder / "calib.npz", calib_method="minmax", io="int8")
        ((_, found),) = costs_of_files([folder / "candidate.onnx"], chosen, measure=how.measure)
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
