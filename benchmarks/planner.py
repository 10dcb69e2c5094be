"""`make bench-planner`: how long planning takes: real models, and chains of residual blocks of growing length.

Each is planned without a limit, with the smallest arena as the limit, and 8 bytes below it (which can't be had).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from tests.support.cores import core_named
from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import DoesNotFitError
from tinycompile.frontend import load
from tinycompile.ir import Graph, Node, Quantization, TensorType
from tinycompile.kernels import kernels_for, kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.relu import Relu
from tinycompile.passes import optimize
from tinycompile.passes.split_averages import split_averages
from tinycompile.planner import StagePlanner, plan

SHARED = Path(__file__).parent.parent.parent / "shared"
M7 = core_named("cortex-m7", dsp=True, fpu=True)
LENGTHS = (100, 200, 500, 1000, 2000)


def residual_chain(nodes: int) -> tuple[Graph, list[list[Kernel]]]:
    """Blocks of expansion, projection and sum; kernels as a convolution has them: fast with scratch, slow without."""
    t = TensorType((1, 8, 8, 16), INT8, Quantization.per_tensor(0.1, 0))
    names, made, x = {"x": t}, list[Node](), "x"
    options = list[list[Kernel]]()
    for block in range(nodes // 3):
        wide = TensorType((1, 8, 8, 16 * (3 + block % 4)), INT8, t.quant)
        a, b, c = f"a{block}", f"b{block}", f"c{block}"
        names |= {a: wide, b: t, c: t}
        made += [Node(a, Relu((0, 127)), (x,), (a,)), Node(b, Relu((0, 127)), (a,), (b,)), Node(c, Add(), (b, x), (c,))]
        fast = Kernel("fast", None, scratch_bytes=640, instructions=1000, overlap={0: 64})
        lean = Kernel("lean", None, scratch_bytes=128, instructions=1300 + block % 7, overlap={0: 16})
        slow = Kernel("slow", None, instructions=3000, overlap={0: 32})
        options += [
            [fast, lean, slow],
            [fast, lean, slow],
            [Kernel("add", None, instructions=300, overlap={0: 0, 1: 0})],
        ]
        x = c
    return Graph("chain", ("x",), (x,), tuple(made), names, {}), options


def measure(name: str, graph: Graph, options: list[list[Kernel]]) -> None:
    smallest = 0
    for label in ("no limit", "smallest", "too small"):
        limit = {"no limit": None, "smallest": smallest, "too small": smallest - 8}[label]
        start = time.perf_counter()
        try:
            found = plan(graph, options, ram_limit=limit, optimize="speed")
            gap = found.arena_bytes - found.lower_bound_bytes
            result = (
                f"arena {found.arena_bytes:>9,}  gap {gap:>5,}  order {'optimal' if found.order_optimal else 'found'}"
            )
        except DoesNotFitError:
            result = "does not fit"
        seconds = time.perf_counter() - start
        print(f"{name:20} {len(graph.nodes):5} nodes  {label:10} {seconds:6.2f} s  {result}", flush=True)
        if label == "no limit":
            smallest = plan(graph, options, ram_limit=None, optimize="ram").arena_bytes


def measure_stages(name: str, graph: Graph) -> None:
    """The search for stages that are executed row by row, and the smallest arena with them."""
    graph = split_averages(graph)
    kernels = kernels_for(graph, M7)
    start = time.perf_counter()
    planner = StagePlanner(graph, kernels, lambda site: kernels_of(site, M7))
    searched = time.perf_counter() - start
    found = planner.plan(ram_limit=None, optimize="balanced")
    seconds = time.perf_counter() - start
    print(
        f"{name:20} {len(graph.nodes):5} nodes  row by row {seconds:6.2f} s  arena {found.arena_bytes:>9,}  "
        f"({searched:.2f} s of it for the stages)",
        flush=True,
    )


def convolution_chain(nodes: int) -> Graph:
    """Depthwise and pointwise convolutions in turn: a graph of which every run may be a stage."""
    t, rng = TensorType((1, 24, 24, 8), INT8, Quantization.per_tensor(0.1, 0)), np.random.default_rng(0)
    types, constants, made = {"x": t}, dict[str, np.ndarray](), list[Node]()
    for i in range(nodes):
        before, after = (f"v{i - 1}" if i else "x"), f"v{i}"
        depthwise = i % 2 == 0
        shape = (1, 3, 3, 8) if depthwise else (8, 1, 1, 8)
        scale = Quantization(np.full(8, 0.004, np.float32), np.zeros(8, np.int64), 3 if depthwise else 0)
        types |= {after: t, f"w{i}": TensorType(shape, INT8, scale), f"b{i}": TensorType((8,), INT32)}
        constants |= {f"w{i}": rng.integers(-127, 128, shape).astype(np.int8), f"b{i}": np.zeros(8, np.int32)}
        op = DepthwiseConv2D(padding=(1, 1, 1, 1)) if depthwise else Conv2D()
        made.append(Node(after, op, (before, f"w{i}", f"b{i}"), (after,)))
    return Graph("chain", ("x",), (f"v{nodes - 1}",), tuple(made), types, constants)


def main() -> None:
    for path in sorted((SHARED / "models").glob("*.tflite")):
        graph = optimize(load(path))
        measure(path.stem, graph, kernels_for(graph, M7))
        measure_stages(path.stem, graph)
    if not SHARED.exists():
        print("(real models are skipped: ../shared is not here)", file=sys.stderr)
    for length in LENGTHS:
        measure("residual chain", *residual_chain(length))
    for length in (50, 200, 500):
        measure_stages("convolutions", convolution_chain(length))


if __name__ == "__main__":
    main()
