"""The oracle for ONNX models: `onnx.reference.ReferenceEvaluator`.

ONNX leaves the order of sums open. The plain evaluator adds float32 products in whatever order NumPy's BLAS has; the
exact one runs the same model with DequantizeLinear in front of a sum, and the sums themselves, in float64, which for
8-bit operands is the real number as far as rounding to 8 bits can tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import (
    op_average_pool,
    op_conv,
    op_conv_transpose,
    op_dequantize_linear,
    op_gemm,
    op_global_average_pool,
)


class Exact(np.ndarray):
    """A float32 array that remembers the real numbers it was rounded from."""

    exact: np.ndarray


def exact(x: np.ndarray) -> np.ndarray:
    return x.exact if isinstance(x, Exact) and hasattr(x, "exact") else np.asarray(x).astype(np.float64)


class DequantizeLinear(op_dequantize_linear.DequantizeLinear_19):
    op_domain = ""

    def _run(self, x, scale, zero_point=None, axis=1, **_):
        (rounded,) = super()._run(x, scale, zero_point, axis=axis)
        (real,) = super()._run(x, scale.astype(np.float64), zero_point, axis=axis)
        result = np.asarray(rounded).view(Exact)
        result.exact = np.asarray(x.astype(np.float64) - _fit(zero_point, x, axis)) * _fit(scale, x, axis)
        assert np.allclose(result.exact, real, rtol=1e-6)
        return (result,)


def _fit(value, x, axis):
    if value is None:
        return 0.0
    value = np.asarray(value).astype(np.float64)
    return value if value.size == 1 else value.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


class PlainDequantizeLinear(op_dequantize_linear.DequantizeLinear_19):
    """The evaluator has none before opset 19, whose meaning for 8 bits is the same."""

    op_domain = ""

    def _run(self, x, scale, zero_point=None, axis=1, **_):
        return super()._run(x, scale, zero_point, axis=axis)


PlainDequantizeLinear.__name__ = "DequantizeLinear"


class Softmax(OpRun):
    op_domain = ""

    def _run(self, x, axis=-1):
        x = exact(x)
        exponentials = np.exp(x - x.max(axis=axis, keepdims=True))
        return (exponentials / exponentials.sum(axis=axis, keepdims=True),)


class MatMul(OpRun):
    op_domain = ""

    def _run(self, a, b):
        return (np.asarray(np.matmul(exact(a), exact(b))),)


class Add(OpRun):
    """In float32, unless an operand is a sum that has not been rounded yet."""

    op_domain = ""

    def _run(self, a, b):
        real = np.float64 in (a.dtype, b.dtype)
        return (exact(a) + exact(b),) if real else (np.add(np.asarray(a), np.asarray(b)),)


class ReduceMean(OpRun):
    op_domain = ""

    def _run(self, data, axes=None, keepdims=1, noop_with_empty_axes=0):
        axis = None if axes is None else tuple(int(a) for a in axes)
        return (np.asarray(np.mean(exact(data), axis=axis, keepdims=bool(keepdims))),)


def in_float64(base: type) -> type:
    """The operator on real numbers; a result stays in float64 until QuantizeLinear."""

    def _run(self, *operands, **attributes):
        reals = [None if x is None else exact(x) if x.dtype.kind == "f" else x for x in operands]
        return base._run(self, *reals, **attributes)

    return type(base.__name__.split("_")[0], (base,), {"op_domain": "", "_run": _run})


SUMS = [
    in_float64(base)
    for base in (
        op_conv.Conv,
        op_conv_transpose.ConvTranspose,
        op_gemm.Gemm_7,
        op_average_pool.AveragePool_19,
        op_global_average_pool.GlobalAveragePool,
    )
]


def evaluator(model: onnx.ModelProto, *, real: bool = True) -> ReferenceEvaluator:
    """`real`: with exact sums."""
    if not real:
        return ReferenceEvaluator(model, new_ops=[PlainDequantizeLinear] if opset(model) < 19 else None)
    return ReferenceEvaluator(model, new_ops=[DequantizeLinear, Softmax, MatMul, Add, ReduceMean, *SUMS])


def opset(model: onnx.ModelProto) -> int:
    return next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


def every_tensor(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the results of all its QuantizeLinear and QLinear nodes as outputs too."""
    clone = onnx.ModelProto()
    clone.CopyFrom(model)
    known = {o.name for o in clone.graph.output}
    for node in clone.graph.node:
        if node.op_type.startswith(("QuantizeLinear", "QLinear")) and node.output[0] not in known:
            clone.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    return clone


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray], *, real: bool = True) -> dict[str, Any]:
    """The outputs by name."""
    session = evaluator(model, real=real)
    with np.errstate(all="ignore"):
        results = session.run(None, inputs)
    return {o.name: np.asarray(r) for o, r in zip(model.graph.output, results, strict=True)}
