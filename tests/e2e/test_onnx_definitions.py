"""Models of operators that are read as their definition, and of types that are for storage, built and verified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tinycompile
from tinycompile.errors import PrecisionWarning
from tinycompile.verify.compare import verify_build

pytest.importorskip("onnxruntime", reason="the reference for ONNX models")
RNG = np.random.default_rng(0)


def transformer(kind: int, opset: int) -> onnx.ModelProto:
    """A normalisation, a product, and from opset 23 on attention between them."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    shapes = {"scale": (8,), "bias": (8,), "w": (8, 3)}
    weights = [numpy_helper.from_array(RNG.normal(size=s).astype(dtype), name) for name, s in shapes.items()]
    nodes = [helper.make_node("LayerNormalization", ["x", "scale", "bias"], ["n"])]
    if opset >= 23:
        nodes.append(helper.make_node("Attention", ["n", "n", "n"], ["a"], q_num_heads=2, kv_num_heads=2))
    nodes.append(helper.make_node("Einsum", [nodes[-1].output[0], "w"], ["y"], equation="bij,jk->bik"))
    x, y = (helper.make_tensor_value_info(name, kind, shape) for name, shape in (("x", (1, 6, 8)), ("y", (1, 6, 3))))
    graph = helper.make_graph(nodes, "transformer", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize(("kind", "opset"), [(TensorProto.FLOAT, 23), (TensorProto.FLOAT16, 17)])
def test_as_built(kind: int, opset: int, tmp_path: Path):
    """Values that only the definition has aren't compared; those of the model are."""
    onnx.save(transformer(kind, opset), str(tmp_path / "model.onnx"))
    build = tinycompile.compile(tmp_path / "model.onnx", target="host", output=tmp_path / "out", dtype="float32")
    samples = RNG.normal(size=(3, 1, 6, 8)).astype(build.inputs[0].dtype.carrier)
    assert verify_build(build, [samples]).differences == 0


def test_doubles_are_computed_in_float32(tmp_path: Path):
    onnx.save(transformer(TensorProto.DOUBLE, 17), str(tmp_path / "model.onnx"))
    with pytest.warns(PrecisionWarning, match="'x' is float64, which is computed as float32"):
        tinycompile.compile(tmp_path / "model.onnx", target="host", output=tmp_path / "out", dtype="float32")
