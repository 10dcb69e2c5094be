"""`make bench-search-prices`: how near prices of untrained networks are to builds, on random candidates of the spaces.

Each is priced (`tinycompile.search.pricing`), then quantised on random samples, built and run in QEMU. RAM is arena,
scratch and states; flash all of `firmware.elf`; instructions are those executed. A line per space and board, and the
candidates that are furthest off.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import tinycompile
from tinycompile.errors import DoesNotFitError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.options import Options
from tinycompile.search.pricing import price
from tinycompile.search.space import Config, NoNetwork, Space, load_space

SHAPES = {"mobile": (1, 8, 8), "separable": (6, 1, 100), "hybrid": (1, 8, 8)}
CLASSES = 10
FIGURES = ("ram", "flash", "instructions", "estimate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="candidates of each space")
    parser.add_argument("--target", default="stm32f103")
    parser.add_argument("--spaces", nargs="*", default=list(SHAPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="a line for each candidate")
    args = parser.parse_args()
    for name in args.spaces:
        compared(load_space(name), args.count, args.target, args.seed, args.verbose)


def compared(space: Space, count: int, target: str, seed: int, verbose: bool) -> None:
    """Prints how far prices are off."""
    random, board = np.random.default_rng(seed), Options(target, io="int8").board()
    off, seconds = list[tuple[float, ...]](), 0.0
    while len(off) < count:
        config = space.sampled(random)
        try:
            proto = space.network(config, SHAPES[space.name], CLASSES)
            begun = time.process_time()
            found = price(proto, board, Options(target, io="int8"))
            took = time.process_time() - begun
            build = built(proto, SHAPES[space.name], target)
        except (NoNetwork, DoesNotFitError):
            continue
        seconds += took
        priced = (
            found.arena_bytes + found.scratch_bytes + found.state_bytes,
            found.flash_bytes,
            found.instructions,
            found.instructions,
        )
        off.append(tuple(p / b - 1 for p, b in zip(priced, build, strict=True)))
        if verbose:
            print(" ".join(f"{each:7.2%}" for each in off[-1]), priced, build, shown(config), flush=True)
    for figure, each in zip(FIGURES, np.array(off).T, strict=True):
        parts = np.quantile(np.abs(each), (0.5, 0.9, 1.0))
        exact = np.mean(each == 0)
        print(
            f"{space.name:10} {target:10} {figure:13} off by {parts[0]:.2%}, {parts[1]:.2%} (90 %), {parts[2]:.2%} (most); exact {exact:.0%}"
        )
    print(f"{space.name:10} {target:10} {count / seconds:.1f} a second")


def built(proto: object, shape: tuple[int, ...], target: str) -> tuple[int, int, int, int]:
    """(RAM, flash, executed instructions, the kernels' estimates) of a candidate's firmware."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, calib = Path(folder) / "candidate.onnx", Path(folder) / "calib.npz"
        onnx_module().save(proto, str(model))
        samples = np.random.default_rng(1).normal(0, 1, (24, *shape)).astype(np.float32)
        np.savez(calib, input_0=samples)
        build = tinycompile.compile(
            model, target, output=Path(folder) / "out", calib=calib, calib_method="minmax", io="int8", pareto=False
        )
        ram, flash = build.report["ram"], build.report["flash"]
        run = build.execute([np.random.default_rng(1).integers(-128, 128, (1, 1, *shape)).astype(np.int8)])
        estimate = sum(layer["instructions_estimate"] for layer in build.report["layers"])
        return (
            ram["arena_bytes"] + ram["scratch_bytes"] + ram["state_bytes"],
            flash["total_bytes"],
            run.instructions[0],
            estimate,
        )


def shown(config: Config) -> str:
    return " ".join(f"{name}={value}" for name, value in config.items())


if __name__ == "__main__":
    main()
