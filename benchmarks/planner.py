"""`make bench-planner`: how long planning takes: real models, and chains of residual blocks of growing length.

Each is planned without a limit, with the smallest arena as the limit, and 8 bytes below it (which can't be had).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tinycompile.errors import DoesNotFitError
from tinycompile.frontend import load
from tinycompile.ir import Graph, Node, Quantization, TensorType
from tinycompile.kernels import kernels_for
from tinycompile.kernels.base import Isa, Kernel
from tinycompile.ops.add import Add
from tinycompile.ops.relu import Relu
from tinycompile.passes import optimize
from tinycompile.planner import plan

SHARED = Path(__file__).parent.parent.parent / "shared"
M7 = Isa("cortex-m7", dsp=True, fpu=True, schedule="m7")
LENGTHS = (100, 200, 500, 1000, 2000)


def residual_chain(nodes: int) -> tuple[Graph, list[list[Kernel]]]:
    """Blocks of expansion, projection and sum; kernels as a convolution has them: fast with scratch, slow without."""
    t = TensorType((1, 8, 8, 16), "int8", Quantization.per_tensor(0.1, 0))
    names, made, x = {"x": t}, list[Node](), "x"
    options = list[list[Kernel]]()
    for block in range(nodes // 3):
        wide = TensorType((1, 8, 8, 16 * (3 + block % 4)), "int8", t.quant)
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


def main() -> None:
    for path in sorted((SHARED / "models").glob("*.tflite")):
        graph = optimize(load(path))
        measure(path.stem, graph, kernels_for(graph, M7))
    if not SHARED.exists():
        print("(real models are skipped: ../shared is not here)", file=sys.stderr)
    for length in LENGTHS:
        measure("residual chain", *residual_chain(length))


if __name__ == "__main__":
    main()
