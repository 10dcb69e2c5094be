"""`make bench-property`: instructions of a product in random layers, by kind, core and level: whether any is on a slow road.

Networks that nobody chose have odd channels, multipliers and zero points. Ten layers are a model, each with an input of its
own. Writes the distribution of each kind to `property.json` and docs/benchmarks.md, and leaves those of cores and levels that
weren't asked for, so that they can be measured one by one; exits with 1 where a layer costs more than 2.5 times the
median of its kind without a reason in its report, or more than TFLM with CMSIS-NN needs for the kind at most.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from statistics import median

import numpy as np

import tinycompile
from benchmarks.pages import with_block
from tests.support.tflite_builder import SAME, VALID, TfliteBuilder
from tinycompile.errors import DoesNotFitError
from tinycompile.profile import pattern, profile_build

TARGETS = {"rp2040": "M0+", "mps2-an386": "M4", "mps2-an500": "M7", "mps3-an547": "M55"}
LEVELS = ("balanced", "speed")
PRODUCTS = (20_000, 400_000)
"""Of a layer: fewer say more of entries than of loops, more take long in QEMU."""

TOGETHER = 10
"""Layers of a model: with `balanced` the price of a byte of flash follows the instructions of all, which are to be as many
as a small network's."""

Document = dict[str, dict[str, dict[str, float]]]
"""Figures by core and level, kind, and what they are."""

RESULTS = Path(__file__).parent / "property.json"
PAGE = RESULTS.parents[1] / "docs" / "benchmarks.md"
MARKS = ("<!-- what `make bench-property` wrote -->\n", "<!-- until here -->\n")
"""Around the table in the page."""

OUTLIER = 2.5
"""Times the median of a kind."""

PEERS = {
    "conv 1x1": 6.7,
    "conv 3x3": 2.2,
    "conv of few channels": 6.2,
    "depthwise 3x3": 9.8,
    "depthwise 5x5": 8.6,
    "fully connected": 2.2,
}
"""The most that TFLM with CMSIS-NN needs on an M7 for layers of the models in ../shared."""


@dataclass(frozen=True)
class Layer:
    """A convolution, depthwise convolution or fully connected layer.

    Attributes:
        image: (height, width, channels) of its input; a fully connected layer's is (1, 1, inputs).
        window: (height, width). channels: of the output.
    """

    kind: str
    image: tuple[int, int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    channels: int
    same: bool
    clamp: bool

    @property
    def is_depthwise(self) -> bool:
        return self.kind.startswith("depthwise")

    @property
    def output(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        sizes = zip(self.image[:2], self.window, self.stride, strict=True)
        height, width = (-(-(size if self.same else size - taps + 1) // step) for size, taps, step in sizes)
        return height, width, self.channels

    @property
    def products(self) -> int:
        return prod(self.output) * prod(self.window) * (1 if self.is_depthwise else self.image[2])

    def __str__(self) -> str:
        height, width, depth = self.image
        window, stride = "x".join(map(str, self.window)), "x".join(map(str, self.stride))
        padding = "same" if self.same else "valid"
        return f"{self.kind}: {height}x{width}x{depth} to {self.channels}, {window} by {stride}, {padding}"


def drawn(rng: np.random.Generator) -> Layer:
    """A layer of a random kind with about as many products as a layer of a small network."""
    while True:
        kind = str(rng.choice([*PEERS, "depthwise of few channels"]))
        layer = _of_kind(kind, rng)
        if min(layer.output) > 0 and PRODUCTS[0] <= layer.products <= PRODUCTS[1]:
            return layer


def _of_kind(kind: str, rng: np.random.Generator) -> Layer:
    def between(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    height, width, step = between(3, 24), between(3, 24), between(1, 2)
    stride, channels, flags = (step, step), between(2, 72), (between(0, 1) == 1, between(0, 1) == 1)
    few_windows = [(3, 3), (5, 5), (7, 7), (10, 4), (10, 8), (3, 1)]

    def of_few(kind: str, window: tuple[int, int]) -> str:
        return f"{kind}, 3 taps" if window == (3, 1) else kind  # requantisation is most of what these cost

    match kind:
        case "conv 1x1":
            return Layer(kind, (height, width, between(5, 96)), (1, 1), (1, 1), channels, *flags)
        case "conv 3x3":
            return Layer(kind, (height, width, between(5, 48)), (3, 3), stride, channels, *flags)
        case "conv of few channels":
            window = few_windows[between(0, 5)]
            image = (2 * height, 2 * width, between(1, 4))
            return Layer(of_few(kind, window), image, window, stride, between(2, 24), *flags)
        case "depthwise of few channels":
            depth, window = between(1, 3), few_windows[between(0, 5)]
            image, channels = (2 * height, 2 * width, depth), depth * between(depth, 12)
            return Layer(of_few(kind, window), image, window, stride, channels, *flags)
        case "fully connected":
            return Layer(kind, (1, 1, between(32, 4200)), (1, 1), (1, 1), between(2, 128), True, flags[1])
        case _:
            depth, taps = between(4, 96), int(kind[-1])
            several = between(1, 3) if between(0, 3) == 0 else 1
            return Layer(kind, (height, width, depth), (taps, taps), stride, depth * several, *flags)


def model(layers: Sequence[Layer], seed: int) -> bytes:
    """A file with these layers, in this order, named by `_name`."""
    rng, b, inputs, results = np.random.default_rng(seed), TfliteBuilder(), list[int](), list[int]()
    for index, layer in enumerate(layers):
        dense, depth = layer.kind == "fully connected", layer.image[2]
        taps = prod(layer.window) * (1 if layer.is_depthwise else depth)
        shape = (layer.channels, depth) if dense else (layer.channels, *layer.window, depth)
        axis = 0
        if layer.is_depthwise:
            shape, axis = (1, *layer.window, layer.channels), 3
        weights = np.clip(np.round(rng.normal(0, 40, shape)), -127, 127).astype(np.int8)
        scales = rng.uniform(0.002, 0.006, 1 if dense else layer.channels)
        bias = rng.integers(-3000, 3000, layer.channels).astype(np.int32)
        at = (1, depth) if dense else (1, *layer.image)
        x = b.tensor(at, 0.05, int(rng.integers(-128, 128)))
        spread = 0.05 * 0.004 * 38 * 73 * taps**0.5 * 3 / 127
        to = (1, layer.channels) if dense else (1, *layer.output)
        y = b.tensor(to, spread, int(rng.integers(-128, 20)), name=_name(index))
        operands = [x, b.constant(weights, scales, axis=axis), b.constant(bias, 0.05 * scales)]
        activation = {"FusedActivationFunction": 1 if layer.clamp else 0}
        if dense:
            b.op("FULLY_CONNECTED", operands, [y], **activation)
        else:
            padding = SAME if layer.same else VALID
            window = {"Padding": padding, "StrideH": layer.stride[0], "StrideW": layer.stride[1]}
            window |= {"DilationHFactor": 1, "DilationWFactor": 1}
            if layer.is_depthwise:
                several = {"DepthMultiplier": layer.channels // depth}
                b.op("DEPTHWISE_CONV_2D", operands, [y], **window, **several, **activation)
            else:
                b.op("CONV_2D", operands, [y], **window, **activation)
        inputs.append(x)
        results.append(y)
    return b.build(inputs, results)


def _name(index: int) -> str:
    return f"layer_{index}"


@dataclass(frozen=True)
class Cost:
    """What a layer costs in a build.

    Attributes:
        each: instructions of a product. kernel: its variant. reason: of the report, why it isn't faster; or empty.
    """

    layer: Layer
    each: float
    kernel: str
    reason: str


def measure(target: str, level: str, layers: Sequence[Layer], seed: int) -> list[Cost]:
    """In as many models as the board's memories take."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(name) / "layers.tflite"
        path.write_bytes(model(layers, seed))
        try:
            build = tinycompile.compile(path, target, output=Path(name) / "out", optimize=level, schedule="layer")
        except DoesNotFitError:
            if len(layers) == 1:
                raise
            half = len(layers) // 2
            return [*measure(target, level, layers[:half], seed), *measure(target, level, layers[half:], seed)]
        profile = profile_build(build, [pattern(t) for t in build.inputs])
        kernels = {layer["name"]: layer for layer in build.report["layers"]}
    counted = {layer["name"]: layer["instructions"] for layer in profile["layers"]}
    found = list[Cost]()
    for index, layer in enumerate(layers):
        entry = kernels[_name(index)]
        reason = str(entry.get("notes", {}).get("reason", ""))
        found.append(Cost(layer, counted[_name(index)] / layer.products, str(entry["kernel"]), reason))
    return found


def by_kind(costs: Iterable[Cost]) -> dict[str, list[Cost]]:
    """Each kind's layers, the cheapest first."""
    kinds = dict[str, list[Cost]]()
    for cost in sorted(costs, key=lambda cost: cost.each):
        kinds.setdefault(cost.layer.kind, []).append(cost)
    return kinds


def outliers(kinds: Mapping[str, Sequence[Cost]], limits: Mapping[str, float]) -> list[tuple[Cost, str]]:
    """Layers that cost too much, and beside what.

    Args:
        limits: instructions of a product by kind; none where the peers have no figure for the core.
    """
    found = list[tuple[Cost, str]]()
    for kind, costs in kinds.items():
        middle = median(cost.each for cost in costs)
        for cost in costs:
            if cost.each > OUTLIER * middle and not cost.reason:
                found.append((cost, f"{cost.each / middle:.1f} times the median of {middle:.2f}"))
            elif cost.each > limits.get(kind, np.inf):
                found.append((cost, f"TFLM needs {limits[kind]} at most"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--levels", nargs="*", default=list(LEVELS))
    parser.add_argument("-j", "--jobs", type=int, default=2)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    layers = [drawn(rng) for _ in range(options.layers)]
    slow = list[str]()
    with ProcessPoolExecutor(options.jobs) as pool:
        jobs = {
            (target, level): [
                pool.submit(measure, target, level, layers[at : at + TOGETHER], at)
                for at in range(0, len(layers), TOGETHER)
            ]
            for target, level in product(options.targets, options.levels)
        }
        for (target, level), models in jobs.items():
            core, kinds = TARGETS.get(target, target), by_kind(cost for job in models for cost in job.result())
            found = outliers(kinds, PEERS if core == "M7" else {})
            slow += [f"{core} {level}: {cost.layer}, {cost.kernel}: {cost.each:.2f}, {why}" for cost, why in found]
            save(f"{core} {level}", kinds)
    print(*slow, sep="\n")
    sys.exit(1 if slow else 0)


def save(column: str, kinds: Mapping[str, Sequence[Cost]]) -> None:
    """Replace the figures of a core and level."""
    document: Document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    document[column] = {kind: distribution([cost.each for cost in costs]) for kind, costs in kinds.items()}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    PAGE.write_text(with_block(PAGE.read_text(), *MARKS, markdown(document)))


def distribution(each: Sequence[float]) -> dict[str, float]:
    """How instructions of a product are distributed."""
    of = np.array(each)
    figures = {"least": of.min(), "median": np.median(of), "9 of 10": np.quantile(of, 0.9), "most": of.max()}
    return {"layers": len(each), **{name: round(float(figure), 2) for name, figure in figures.items()}}


def markdown(document: Document) -> str:
    """A row for each kind on each core and level, in the order of `TARGETS` and `LEVELS`."""
    lines = ["| core, level | kind | layers | least | median | 9 of 10 | most |", "|---|---|--:|--:|--:|--:|--:|"]
    for column in (f"{core} {level}" for core, level in product(TARGETS.values(), LEVELS)):
        for kind, figures in sorted(document.get(column, {}).items()):
            numbers = (f"{figures[name]:.2f}" for name in ("least", "median", "9 of 10", "most"))
            lines.append(f"| {column} | {kind} | {figures['layers']:.0f} | {' | '.join(numbers)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
