"""Random networks of tensors with 0 to 6 axes, in every schedule, against LiteRT and onnxruntime.

`python -m tests.reliability.ranks --seeds 0 200 --kinds tflite onnx float`
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnxruntime

from tests.ops.oracle import check_model
from tests.planner.test_stream import run_planned
from tests.support import onnx_builder
from tests.support.random_onnx_ranks import RandomOnnxRanks
from tests.support.random_ranks import RandomRanks
from tinycompile import interpreter
from tinycompile.ir import Graph
from tinycompile.options import Options
from tinycompile.passes import optimize
from tinycompile.plans import Plans
from tinycompile.targets import load_board

SCHEDULES = ("layer", "stream", "patch", "auto")
AMPLE = 1 << 20
STEPS = (1, 2, 4, 7, 10)


def check_tflite(seed: int) -> Graph:
    """The definition against LiteRT, tensor by tensor, then the generated C against the definition."""
    content, shapes = RandomRanks(seed).build(STEPS[seed % len(STEPS)])
    rng = np.random.default_rng(seed)
    inputs = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
    graph = check_model(content, inputs)
    check_schedules(graph, dict(zip(graph.inputs, inputs, strict=True)))
    return graph


def check_interface(graph: Graph, network: RandomOnnxRanks) -> None:
    """The shapes that a user sees."""
    assert [graph.types[name].shape for name in graph.inputs] == [v.shape for v in network.inputs]
    unread = [v for v in network.values if v.name not in network.read and v not in network.inputs]
    assert [graph.types[name].shape for name in graph.outputs] == [v.shape for v in unread]


def check_schedules(graph: Graph, inputs: dict[str, np.ndarray], *, exact: bool = True) -> None:
    """Every layer of the C in each schedule: "auto" with the least RAM, the others with ample RAM."""
    optimized, board = optimize(graph), load_board("stm32f746")
    for schedule in SCHEDULES:
        plans = Plans(optimized, board, Options(schedule=schedule))
        limit = None if schedule == "auto" else AMPLE
        planned = plans.layers(limit, None) if schedule == "layer" else plans.stages(limit)
        if schedule in ("layer", "auto") or planned.stages:
            run_planned(planned, inputs, exact=exact)


def check_onnx(seed: int) -> Graph:
    """Against onnx's evaluator with exact sums, bit for bit."""
    network = RandomOnnxRanks(seed)
    model, inputs = network.build(STEPS[seed % len(STEPS)])
    graph = onnx_builder.check_model(model, inputs)
    check_interface(graph, network)
    check_schedules(graph, dict(zip(graph.inputs, inputs.values(), strict=True)))
    return graph


def check_float(seed: int) -> Graph:
    """Against onnxruntime within rounding."""
    network = RandomOnnxRanks(seed, quantized=False)
    model, inputs = network.build(STEPS[seed % len(STEPS)])
    graph, _ = onnx_builder.imported(model, floats="all")
    values = interpreter.run(graph, list(inputs.values()))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    check_interface(graph, network)
    for name, result in zip(graph.outputs, session.run(None, inputs), strict=True):
        expected = np.asarray(result)
        np.testing.assert_allclose(values[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)
    check_schedules(graph, dict(zip(graph.inputs, inputs.values(), strict=True)), exact=False)
    return graph


CHECKS: dict[str, Callable[[int], Graph]] = {"tflite": check_tflite, "onnx": check_onnx, "float": check_float}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 100), metavar=("FIRST", "END"))
    parser.add_argument("--kinds", nargs="+", default=list(CHECKS), choices=CHECKS)
    arguments = parser.parse_args()
    used, failed, count = Counter[str](), list[str](), 0
    for kind in arguments.kinds:
        for seed in range(*arguments.seeds):
            count += 1
            try:
                graph = CHECKS[kind](seed)
                used.update(f"{node.op.kind} {len(graph.signature(node).output.shape)}" for node in graph.nodes)
            except Exception:
                failed.append(f"{kind} {seed}")
                print(f"{kind} {seed}: FAILED\n{traceback.format_exc(limit=-3)[-1500:]}", flush=True)
    print(f"{count - len(failed)} of {count} networks agree; operators and ranks: {dict(sorted(used.items()))}")
    print(f"failed: {', '.join(failed)}" if failed else "")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
