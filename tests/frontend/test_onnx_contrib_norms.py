"""com.microsoft's normalisations and FastGelu, which onnxruntime's optimiser makes of several operators, against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import import_onnx

onnxruntime = pytest.importorskip("onnxruntime")

SHAPE = (2, 3, 8)
CASES = {
    "SkipLayerNormalization": ("com.microsoft", ("input", "skip", "columns", "columns"), ("y", "", "", "sum")),
    "SkipLayerNormalization with a bias": ("com.microsoft", ("input", "skip", *["columns"] * 3), ("y",)),
    "SkipSimplifiedLayerNormalization": ("com.microsoft", ("input", "skip", "columns"), ("y", "", "", "sum")),
    "SkipSimplifiedLayerNormalization with a bias": ("com.microsoft", ("input", "skip", *["columns"] * 2), ("y",)),
    "SimplifiedLayerNormalization": ("", ("input", "columns"), ("y",)),
    "LayerNormalization": ("", ("input", "columns", "columns"), ("y",)),
    "FastGelu": ("com.microsoft", ("input", "columns"), ("y",)),
}
"""(domain, operands, results) by operator."""


def model_of(name: str, opset: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    domain, operands, results = CASES[name]
    kind, rng, inputs, constants, names = name.split()[0], np.random.default_rng(opset), {}, [], list[str]()
    for number, operand in enumerate(operands):
        names.append(f"{operand}{number}")
        value = rng.normal(0.5, 1, SHAPE[-1:] if operand == "columns" else SHAPE).astype(np.float32)
        if operand == "columns":
            constants.append(numpy_helper.from_array(value, names[-1]))
        else:
            inputs[names[-1]] = value
    attributes = {"epsilon": 1e-3} if opset < 23 and kind != "FastGelu" else {}
    node = helper.make_node(kind, names, results, domain=domain, **attributes)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, SHAPE) for n in (*inputs, *filter(None, results))]
    graph = helper.make_graph([node], "g", values[: len(inputs)], values[len(inputs) :], constants)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10), inputs


@pytest.mark.parametrize("opset", (13, 17, 18, 23))
@pytest.mark.parametrize("name", CASES)
def test_means_what_onnxruntime_computes(name: str, opset: int, tmp_path: Path) -> None:
    model, inputs = model_of(name, opset)
    onnx.save(model, str(tmp_path / "m.onnx"))
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)
    graph = import_onnx(tmp_path / "m.onnx", "m", floats="all")
    values = interpreter.run(graph, list(inputs.values()))
    for output, wanted in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(values[output].reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)


def test_other_results_are_refused(tmp_path: Path) -> None:
    model, _ = model_of("SkipLayerNormalization", 17)
    model.graph.node[0].output[1] = "mean"
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(UnsupportedError, match="mean and inv_std_var"):
        import_onnx(tmp_path / "m.onnx", "m", floats="all")
