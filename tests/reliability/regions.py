"""Random networks of which only some tensors are quantised, against onnxruntime, and their C against their meaning.

`python -m tests.reliability.regions --seeds 0 200`
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import imported
from tests.support.onnx_nodes import run_as_c
from tests.support.random_onnx_regions import RandomOnnxRegions
from tinycompile import interpreter
from tinycompile.errors import FloatIslandWarning
from tinycompile.ir import Graph
from tinycompile.passes import optimize


def agreed(seed: int) -> tuple[Graph, bool]:
    """The graph of a network, and whether all of it is int8; what float32 computes may differ from onnxruntime's.

    Raises:
        AssertionError: int8 isn't onnxruntime's, nor that of exact sums; or the passes change it.
    """
    network = RandomOnnxRegions(seed)
    model = network.build()
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        graph, _ = imported(model, floats="islands")
    whole = not any(issubclass(w.category, FloatIslandWarning) for w in raised)
    if whole:
        assert not (found := Agreement(model, graph).difference(network.inputs())), found
        optimized = optimize(graph)
        inputs = list(network.inputs().values())
        before, after = interpreter.run(graph, inputs), interpreter.run(optimized, inputs)
        for name, other in zip(graph.outputs, optimized.outputs, strict=True):
            np.testing.assert_array_equal(before[name], after[other])
    return graph, whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 200))
    counts = Counter[str]()
    with TemporaryDirectory() as folder:
        for seed in range(*parser.parse_args().seeds):
            try:
                graph, whole = agreed(seed)
                inputs = list(RandomOnnxRegions(seed).inputs().values())
                place = Path(folder) / str(seed)
                place.mkdir()
                values = interpreter.run(graph, inputs)
                for name, got in zip(graph.outputs, run_as_c(graph, inputs, place), strict=True):
                    np.testing.assert_array_equal(got, values[name])
                counts["int8" if whole else "partly float"] += 1
            except Exception as error:  # all failures of a run at once
                counts["failed"] += 1
                print(f"seed {seed}: {type(error).__name__}: {str(error).strip()[:300]}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
