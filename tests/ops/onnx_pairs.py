"""ONNX's rule of binary operators: every pair of int8 values against the reference evaluator's operators."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops._elementwise import DequantizedBinary

ALL = np.arange(-128, 128).astype(np.int8)


def reference(function, a, b, quants):
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "sa", "za"], ["fa"]),
        helper.make_node("DequantizeLinear", ["b", "sb", "zb"], ["fb"]),
        helper.make_node(function, ["fa", "fb"], ["fy"]),
        helper.make_node("QuantizeLinear", ["fy", "sy", "zy"], ["y"]),
    ]
    inputs, feed = [], {"a": a, "b": b}
    for name, (scale, zero) in zip("aby", quants, strict=True):
        feed[f"s{name}"], feed[f"z{name}"] = np.float32(scale), np.int8(zero)
    for name, value in feed.items():
        feed[name] = np.asarray(value)
        inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(feed[name].dtype), None))
    outputs = [helper.make_tensor_value_info("y", TensorProto.INT8, None)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 21)]
    )
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, feed)[0]


QUANTS = [((0.1, 3), (0.05, -7), (0.2, 5)), ((0.0173, -128), (0.9, 127), (0.31, 0))]


def check_onnx_rule(operator: type[DequantizedBinary], function: str) -> None:
    """`function`: the operator's name in ONNX."""
    for quants in QUANTS:
        a, b = (part.copy() for part in np.broadcast_arrays(ALL[:, None], ALL[None, :]))
        types = [int8(a.shape, *q) for q in quants]
        op, sig = operator(rule="onnx"), Signature(tuple(types[:2]), (types[2],))
        assert op.unsupported(sig) is None
        (got,) = op.evaluate(sig, [a, b])
        expected = reference(function, a, b, quants)
        if function == "Div":  # of infinity and NaN the reference makes anything, onnxruntime the ends
            expected = np.where(b == quants[1][1], np.where(a > quants[0][1], 127, -128), expected)
        assert np.array_equal(got, expected)
