"""Operators that make one element of many: reductions over axes, searches along one, and what divides by a length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT32, INT64
from tinycompile.frontend.tflite_axes import axis_of, operand_axis
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ops._reduce import Axes
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.arg_min import ArgMin
from tinycompile.ops.cumulative_sum import CumulativeSum
from tinycompile.ops.l2_normalization import L2Normalization
from tinycompile.ops.local_response_normalization import LocalResponseNormalization
from tinycompile.ops.mean import Mean
from tinycompile.ops.reduce_all import ReduceAll
from tinycompile.ops.reduce_any import ReduceAny
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.top_k import TopK

REDUCTIONS: dict[str, type[Axes]] = {
    "MEAN": Mean,
    "REDUCE_ALL": ReduceAll,
    "REDUCE_ANY": ReduceAny,
    "REDUCE_MAX": ReduceMax,
    "REDUCE_MIN": ReduceMin,
    "REDUCE_PROD": ReduceProd,
    "SUM": ReduceSum,
}


@importer("REDUCE_MAX", "REDUCE_MIN", "MEAN", options=tflite.ReducerOptions, versions=3)
@importer("REDUCE_ALL", "REDUCE_ANY", options=tflite.ReducerOptions, versions=1)
@importer("REDUCE_PROD", "SUM", options=tflite.ReducerOptions, versions=2)
def reduction(scope: Scope) -> None:
    rank = len(scope.input_type().shape)
    axes = {axis_of(scope, axis, rank) for axis in scope.integers(1, "the list of axes")}
    op = REDUCTIONS[scope.operator.name](tuple(sorted(axes)), scope.options.flag("KeepDims"))
    op = replace(op, runtime=scope.runtime) if isinstance(op, ReduceSum) else op
    scope.emit(op, [scope.input()])


@importer("ARG_MAX", options=tflite.ArgMaxOptions, versions=3)
@importer("ARG_MIN", options=tflite.ArgMinOptions, versions=3)
def arg_extreme(scope: Scope) -> None:
    types = {tflite.TensorType.INT32: INT32, tflite.TensorType.INT64: INT64}
    wanted = scope.options.integer("OutputType")
    if wanted not in types:
        raise Rejected(f"its option output_type is {wanted}, supported are INT32 and INT64")
    stated = scope.output_type().dtype
    if stated != types[wanted]:
        raise scope.fail(f"its option output_type is {types[wanted]} where the result is {stated}")
    op = ArgMax if scope.operator.name == "ARG_MAX" else ArgMin
    axis = operand_axis(scope, 1, len(scope.input_type().shape))
    scope.emit(op(axis, types[wanted]), [scope.input()])


@importer("TOPK_V2", options=tflite.TopKV2Options, versions=3)
def top_k(scope: Scope) -> None:
    counts = scope.integers(1, "the number of elements")
    if len(counts) != 1:
        raise scope.fail(f"the number of elements is {counts}")
    if len(scope.operator.outputs) != 2:
        raise scope.fail(f"{len(scope.operator.outputs)} results where there should be 2")
    index = scope.values.type(scope.operator.outputs[1]).dtype
    scope.emit_all(TopK(counts[0], index), [scope.input()])


@importer("CUMSUM", options=tflite.CumsumOptions, versions=1)
def cumulative_sum(scope: Scope) -> None:
    options = scope.options
    axis = operand_axis(scope, 1, len(scope.input_type().shape))
    op = CumulativeSum(axis, options.flag("Exclusive"), options.flag("Reverse"))
    scope.emit(op, [scope.input()])


@importer("L2_NORMALIZATION", options=tflite.L2NormOptions, versions=2)
def l2_normalization(scope: Scope) -> None:
    if scope.options.integer("FusedActivationFunction") != tflite.ActivationFunctionType.NONE:
        raise Rejected("its option fused_activation_function is not NONE")
    scope.emit(L2Normalization(), [scope.input()])


@importer("LOCAL_RESPONSE_NORMALIZATION", options=tflite.LocalResponseNormalizationOptions, versions=1)
def local_response_normalization(scope: Scope) -> None:
    options = scope.options
    radius, factors = options.integer("Radius"), [options.real(name) for name in ("Bias", "Alpha", "Beta")]
    if radius < 0 or not np.all(np.isfinite(factors)):
        raise Rejected(f"its options radius, bias, alpha and beta are {radius} and {factors}")
    scope.emit(LocalResponseNormalization(radius, *factors), [scope.input()])
