"""Every intermediate tensor of the real models, on their golden samples, against LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ops.oracle import check_model
from tinycompile import interpreter
from tinycompile.frontend import load

SHARED = Path(__file__).parents[3] / "shared"
SAMPLES = {
    "ad01_int8": 8,
    "ic_resnet8_int8": 8,
    "kws_ref_model": 8,
    "mcunet_vww": 8,
    "mobilenet_v2_int8": 1,
    "vww_96_int8": 8,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_bit_exact(name):
    model, golden = SHARED / "models" / f"{name}.tflite", SHARED / "golden" / f"{name}.npz"
    if not (model.exists() and golden.exists()):
        pytest.skip(f"{model} or {golden} is missing")
    graph = load(model)
    with np.load(golden) as samples:
        inputs, outputs = ([samples[f"{kind}_{i}"] for i in range(len(names))]
                           for kind, names in (("input", graph.inputs), ("output", graph.outputs)))  # fmt: skip
    assert {name for node in graph.nodes for name in node.outputs} <= set(graph.sources), "a tensor isn't compared"
    for sample in range(min(SAMPLES[name], len(inputs[0]))):
        values = interpreter.run(graph, [x[sample] for x in inputs])
        for value, expected in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(values[value], expected[sample])
        check_model(model.read_bytes(), [x[sample] for x in inputs])
