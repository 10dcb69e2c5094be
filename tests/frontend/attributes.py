"""Every attribute of every ONNX operator that is imported, at another valid value, in every opset that has it.

The result follows onnxruntime (optimisations off); where the import refuses, as listed, it names the attribute.
`python -m tests.frontend.attributes [operator ...]` tries two attributes at a time; the test suite takes one.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as native

from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import import_onnx
from tinycompile.frontend.onnx_float import FLOAT_IMPORTERS
from tinycompile.frontend.onnx_registry import IMPORTERS
from tinycompile.frontend.onnx_upgrade import OLDEST

Attributes = Mapping[str, Any]
MICROSOFT = "com.microsoft"
NEWEST = 26
"""The last opset that onnxruntime 1.31 runs."""

RNG_SEED = 7
STEP = 0.0473
"""The scale of 8-bit results: with that of the operands, 0.03, hardly any sum is a tie."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """How to make a model of one operator.

    Attributes:
        bases: attributes to start from.
        operands: the arrays, by attributes and opset; None for one that is left out.
        dynamic: which of them are inputs of the model; the rest is constant.
        domain: of the operator.
        outputs: its number of results, by attributes.
        weights: operands that an int8 model has in 8 bits, with their output axis by attributes.
        integers: the operands are integers already.
        eight_bits, float32: which forms there are.
    """

    operands: Callable[[Attributes, int], list[np.ndarray | None]]
    bases: Sequence[Attributes] = ({},)
    dynamic: Sequence[int] = (0,)
    domain: str = ""
    outputs: Callable[[Attributes], int] = lambda _: 1
    weights: Mapping[int, Callable[[Attributes], int]] = field(default_factory=dict)
    integers: bool = False
    eight_bits: bool = True
    float32: bool = True


def rng() -> np.random.Generator:
    return np.random.default_rng(RNG_SEED)


def floats(*shape: int) -> np.ndarray:
    return rng().normal(0, 1.5, shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _conv(a: Attributes, opset: int) -> list[np.ndarray | None]:
    kernel = a.get("kernel_shape", [3, 2])
    return [floats(1, 4, 7, 8), floats(4, 4 // a.get("group", 1), *kernel), floats(4)]


def _conv_transpose(a: Attributes, opset: int) -> list[np.ndarray | None]:
    kernel = a.get("kernel_shape", [3, 2])
    return [floats(1, 4, 4, 5), floats(4, 4 // a.get("group", 1), *kernel), floats(4)]


def _gemm(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x, w = floats(1, 6), floats(6, 5)
    return [x.T if a.get("transA") else x, w.T if a.get("transB") else w, floats(5)]


def _fused_matmul(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x, y = floats(2, 3, 6), floats(2, 6, 5)
    return [x.swapaxes(1, 2).copy() if a.get("transA") else x, y.swapaxes(1, 2).copy() if a.get("transB") else y]


def _reduce(attribute_below: int) -> Callable[[Attributes, int], list[np.ndarray | None]]:
    def operands(a: Attributes, opset: int) -> list[np.ndarray | None]:
        x = floats(2, 3, 4, 5)
        return [x] if opset < attribute_below or a.get("noop_with_empty_axes") else [x, ints(1, -1)]

    return operands


def _clip(a: Attributes, opset: int) -> list[np.ndarray | None]:
    return [floats(1, 40)] if opset < 11 else [floats(1, 40), np.array(-0.5, np.float32), np.array(0.8, np.float32)]


def _pad(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x = floats(1, 2, 4, 5)
    return [x] if opset < 11 else [x, ints(0, 0, 1, 2, 0, 0, 2, 1), np.array(1.5, np.float32)]


def _slice(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x = floats(1, 5, 6)
    return [x] if opset < 10 else [x, ints(1, -1), ints(4, -100), ints(1, 2), ints(1, -2)]


def _split(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x = floats(1, 6, 6)
    return [x] if opset < 13 or "num_outputs" in a else [x, ints(2, 4)]


def _axes(below: int, *shape: int) -> Callable[[Attributes, int], list[np.ndarray | None]]:
    def operands(a: Attributes, opset: int) -> list[np.ndarray | None]:
        return [floats(*shape)] if opset < below else [floats(*shape), ints(0)]

    return operands


def _resize(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x, scales = floats(1, 2, 5, 6), np.array([1, 1, 0.6, 2.5], np.float32)
    if opset < 11:
        return [x, scales]
    axes = a.get("axes", [0, 1, 2, 3])
    roi = np.zeros(2 * len(axes), np.float32) + np.repeat(np.array([0, 1], np.float32), len(axes))
    if "keep_aspect_ratio_policy" in a:
        return [x, roi, None, ints(*np.array([1, 2, 7, 9])[axes])]
    return [x, roi, scales[axes]]


def _dropout(a: Attributes, opset: int) -> list[np.ndarray | None]:
    return [floats(1, 20)] if opset < 12 else [floats(1, 20), np.array(0.4, np.float32)]


def _batch_normalization(a: Attributes, opset: int) -> list[np.ndarray | None]:
    return [floats(1, 4, 5, 5), floats(4), floats(4) + 1, floats(4) - 1, floats(4) ** 2 + np.float32(0.1)]


def _upsample(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x = floats(1, 2, 3, 4)
    return [x] if opset < 9 else [x, np.array([1, 1, 2.5, 2], np.float32)]


def _bytes(*shape: int) -> np.ndarray:
    return rng().integers(-128, 128, shape).astype(np.int8)


def _scale(value: float = 0.03) -> np.ndarray:
    return np.array(value, np.float32)


def _zero(value: int = 3) -> np.ndarray:
    return np.array(value, np.int8)


def _quantize(a: Attributes, opset: int) -> list[np.ndarray | None]:
    if "axis" in a or "block_size" in a:
        size = 6 if "block_size" not in a else 3
        scales = np.abs(floats(*((6,) if "block_size" not in a else (1, size, 4)))) * np.float32(0.1) + np.float32(0.01)
        if a.get("axis", 1) % 3 != 1:
            scales = scales[:4] if a["axis"] % 3 == 2 else scales[:1]
        return [floats(1, 6, 4), scales, None if "output_dtype" in a else np.zeros(scales.shape, np.int8)]
    return [floats(1, 6, 4), _scale(), None if "output_dtype" in a else _zero()]


def _dequantize(a: Attributes, opset: int) -> list[np.ndarray | None]:
    found = _quantize({**a, "output_dtype": 3}, opset)
    return [_bytes(1, 6, 4), found[1], np.zeros(np.shape(found[1]), np.int8)]


def _qlinear_conv(a: Attributes, opset: int) -> list[np.ndarray | None]:
    kernel, x = a.get("kernel_shape", [3, 2]), _bytes(1, 4, 7, 8)
    x = x.transpose(0, 2, 3, 1).copy() if a.get("channels_last") else x
    w = _bytes(4, 4 // a.get("group", 1), *kernel)
    return [x, _scale(), _zero(), w, _scale(0.01), _zero(0), _scale(0.2), _zero(-4), np.arange(4, dtype=np.int32) * 99]


def _conv_integer(a: Attributes, opset: int) -> list[np.ndarray | None]:
    w = _bytes(4, 4 // a.get("group", 1), *a.get("kernel_shape", [3, 2]))
    return [_bytes(1, 4, 7, 8), w, _zero()]


def _qlinear_pool(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x = _bytes(1, 4, 7, 8)
    x = x.transpose(0, 2, 3, 1).copy() if a.get("channels_last") else x
    return [x, _scale(), _zero(), _scale(0.0213), _zero(-4)]


def _qlinear_where(a: Attributes, opset: int) -> list[np.ndarray | None]:
    condition = np.arange(12).reshape(1, 4, 3) % 3 == 0
    x, y = [_bytes(1, 4, 3), _scale(), _zero()], [_bytes(4, 1), _scale(0.02), _zero(-5)]
    return [condition, *x, *y, _scale(0.05), _zero()]


def _qattention(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x, w, mask = _bytes(1, 5, 8), _bytes(8, 24), np.array([[1, 1, 0, 1, 1]], np.int32)
    return [x.view(np.uint8), w, floats(24), _scale(), _scale(0.01), mask, np.uint8(99), _zero(0)]


def _attention_rows(a: Attributes, opset: int) -> list[np.ndarray | None]:
    mask = np.array([[1, 1, 0, 1, 1]], np.int32)
    return [floats(1, 5, 8), floats(8, 24), floats(24), mask]


def _multi_head_attention(a: Attributes, opset: int) -> list[np.ndarray | None]:
    mask = np.array([[1, 1, 0, 1, 1]], np.int32)
    return [floats(1, 5, 8), floats(1, 5, 8), floats(1, 5, 8), floats(24), mask]


def _embeddings(a: Attributes, opset: int) -> list[np.ndarray | None]:
    ids = np.array([[1, 3, 0, 2]], np.int32)
    return [ids, None, floats(5, 8), floats(4, 8), None, floats(8), floats(8)]


def _qgemm(a: Attributes, opset: int) -> list[np.ndarray | None]:
    x, w = _bytes(1, 12), _bytes(12, 5)
    x, w = x.T if a.get("transA") else x, w.T if a.get("transB") else w
    bias = (np.arange(5, dtype=np.int32) - 2) * 1500
    return [x.copy(), _scale(), _zero(), w.copy(), _scale(0.01), _zero(0), bias, _scale(0.1), _zero(-4)]


def _unary_bytes(scale: float, zero: int) -> Callable[[Attributes, int], list[np.ndarray | None]]:
    def operands(a: Attributes, opset: int) -> list[np.ndarray | None]:
        return [_bytes(1, 3, 4, 2), _scale(), _zero(), _scale(scale), _zero(zero)]

    return operands


def _simple(*shape: int) -> Recipe:
    return Recipe(lambda a, opset: [floats(*shape)])


def _pair(*shapes: tuple[int, ...], bases: Sequence[Attributes] = ({},)) -> Recipe:
    return Recipe(lambda a, opset: [floats(*s) for s in shapes], bases, range(len(shapes)))


_POOL_BASES = (
    {"kernel_shape": [3, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 0, 1, 1], "ceil_mode": 1},
)
"""In the last one, a window would begin in the padding."""


def _matmul_of_bits(a: Attributes, opset: int) -> list[np.ndarray | None]:
    rows, blocks = a["N"], -(-a["K"] // a["block_size"])
    packed = rng().integers(0, 256, (rows, blocks, a["block_size"] * a.get("bits", 4) // 8)).astype(np.uint8)
    return [floats(2, a["K"]), packed, np.abs(floats(rows, blocks))]


def _gather_of_blocks(a: Attributes, opset: int) -> list[np.ndarray | None]:
    """A table of 4 rows with as many columns as fill two blocks."""
    columns = 2 * a["block_size"]
    packed = rng().integers(0, 256, (4, columns * a.get("bits", 4) // 8)).astype(np.uint8)
    return [packed, ints(1, 3), np.abs(floats(4, 2))]


RECIPES: dict[str, Recipe] = {
    "AveragePool": Recipe(lambda a, opset: [floats(1, 3, 7, 8)], _POOL_BASES),
    "MaxPool": Recipe(lambda a, opset: [floats(1, 3, 7, 8)], _POOL_BASES),
    "BatchNormalization": Recipe(_batch_normalization),
    "Cast": Recipe(lambda a, opset: [floats(1, 20)], ({"to": 1},)),
    "Clip": Recipe(_clip),
    "Concat": Recipe(lambda a, opset: [floats(1, 3, 4), floats(1, 3, 4) + 1], ({"axis": 1},), (0, 1)),
    "Conv": Recipe(_conv, ({}, {"strides": [2, 1], "pads": [1, 0, 1, 1]}), weights={1: lambda a: 0}),
    "ConvTranspose": Recipe(
        _conv_transpose, ({}, {"strides": [2, 3], "pads": [1, 0, 1, 1]}), weights={1: lambda a: 1}
    ),
    "LayerNormalization": Recipe(lambda a, opset: [floats(2, 3, 8), floats(8), floats(8)]),
    "RMSNormalization": Recipe(lambda a, opset: [floats(2, 3, 8), floats(8)]),
    "TensorScatter": Recipe(
        lambda a, opset: [floats(2, 3, 5, 4), floats(2, 3, 2, 4), np.array([1, 2])], dynamic=(0, 1), eight_bits=False
    ),
    "DepthToSpace": Recipe(lambda a, opset: [floats(1, 8, 2, 3)], ({"blocksize": 2},)),
    "SpaceToDepth": Recipe(lambda a, opset: [floats(1, 2, 4, 6)], ({"blocksize": 2},)),
    "DequantizeLinear": Recipe(_dequantize, integers=True),
    "QuantizeLinear": Recipe(_quantize, integers=True),
    "Dropout": Recipe(_dropout),
    "Flatten": Recipe(lambda a, opset: [floats(1, 2, 3, 4)]),
    "Gather": Recipe(lambda a, opset: [floats(1, 4, 5), ints(0, 2)], ({}, {"axis": 1})),
    "Gelu": _simple(1, 60),
    "Gemm": Recipe(_gemm, weights={1: lambda a: 0 if a.get("transB") else 1}),
    "LogSoftmax": Recipe(lambda a, opset: [floats(1, 3, 4, 2)], eight_bits=False),
    "Softmax": Recipe(lambda a, opset: [floats(1, 3, 4, 2)]),
    "MatMul": Recipe(lambda a, opset: [floats(1, 6), floats(6, 5)], weights={1: lambda a: 1}),
    "Pad": Recipe(_pad, ({},)),
    "PRelu": Recipe(lambda a, opset: [floats(1, 3, 4), np.full(1, 0.3, np.float32)]),
    "ReduceMean": Recipe(_reduce(18)),
    "ReduceMax": Recipe(_reduce(18)),
    "ReduceMin": Recipe(_reduce(18)),
    "ReduceProd": Recipe(_reduce(18), eight_bits=False),
    "ReduceSum": Recipe(_reduce(13)),
    "Reshape": Recipe(lambda a, opset: [floats(1, 4, 6), ints(1, 0, -1, 2) if not a.get("allowzero") else ints(3, 8)]),
    "Resize": Recipe(_resize, ({}, {"mode": "linear"}, {"mode": "cubic"})),
    "Slice": Recipe(_slice),
    "Split": Recipe(_split, ({"axis": 1},), outputs=lambda a: a.get("num_outputs", 2)),
    "Squeeze": Recipe(_axes(13, 1, 3, 1, 4)),
    "Unsqueeze": Recipe(_axes(13, 3, 4)),
    "Transpose": Recipe(lambda a, opset: [floats(1, 3, 4, 2)]),
    "Upsample": Recipe(_upsample),
    "QLinearMatMul": Recipe(
        lambda a, opset: [_bytes(1, 6), _scale(), _zero(), _bytes(6, 5), _scale(), _zero(0), _scale(0.2), _zero(5)],
        integers=True,
    ),
    "QLinearConv": Recipe(_qlinear_conv, ({}, {"strides": [2, 1], "pads": [1, 0, 1, 1]}), integers=True),
    f"{MICROSOFT}.QLinearConv": Recipe(_qlinear_conv, ({}, {"channels_last": 1}), domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.QGemm": Recipe(_qgemm, domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.QLinearSoftmax": Recipe(
        _unary_bytes(1 / 256, -128), ({"opset": 13}, {"opset": 11}), domain=MICROSOFT, integers=True
    ),
    f"{MICROSOFT}.QLinearLeakyRelu": Recipe(_unary_bytes(0.02, 5), domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.QLinearSigmoid": Recipe(_unary_bytes(1 / 256, -128), domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.QLinearAveragePool": Recipe(
        _qlinear_pool, (*_POOL_BASES, {"kernel_shape": [3, 2], "channels_last": 1}), domain=MICROSOFT, integers=True
    ),
    f"{MICROSOFT}.QLinearGlobalAveragePool": Recipe(_qlinear_pool, domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.QLinearAdd": Recipe(
        lambda a, opset: [_bytes(1, 9), _scale(), _zero(), _bytes(1, 9), _scale(0.02), _zero(), _scale(0.05), _zero()],
        domain=MICROSOFT, integers=True,
    ),
    f"{MICROSOFT}.QLinearMul": Recipe(
        lambda a, opset: [_bytes(1, 9), _scale(), _zero(), _bytes(1, 9), _scale(0.02), _zero(), _scale(0.05), _zero()],
        domain=MICROSOFT, integers=True,
    ),
    f"{MICROSOFT}.QLinearConcat": Recipe(
        lambda a, opset: [_scale(), _zero(), *[_bytes(1, 4, 3), _scale(), _zero()] * 2],
        ({"axis": 1},), (2, 5), domain=MICROSOFT, integers=True,
    ),
    f"{MICROSOFT}.QAttention": Recipe(_qattention, ({"num_heads": 2},), domain=MICROSOFT, integers=True),
    "MatMulInteger": Recipe(lambda a, opset: [_bytes(2, 6), _bytes(6, 5), _zero(), _zero(0)], integers=True),
    "ConvInteger": Recipe(_conv_integer, ({}, {"strides": [2, 1], "pads": [1, 0, 1, 1]}), integers=True),
    "DynamicQuantizeLinear": Recipe(
        lambda a, opset: [floats(3, 40)], integers=True, outputs=lambda a: 3
    ),
    f"{MICROSOFT}.MatMulIntegerToFloat": Recipe(
        lambda a, opset: [_bytes(2, 6), _bytes(6, 5), _scale(), _scale(0.02), _zero(), _zero(0), floats(5)],
        domain=MICROSOFT, integers=True,
    ),
    f"{MICROSOFT}.DynamicQuantizeMatMul": Recipe(
        lambda a, opset: [floats(2, 6), _bytes(6, 5), _scale(), _zero(0), floats(5)], domain=MICROSOFT, integers=True
    ),
    f"{MICROSOFT}.QLinearReduceMean": Recipe(
        _unary_bytes(0.0213, -4), ({"axes": [2], "keepdims": 1},), domain=MICROSOFT, integers=True
    ),
    f"{MICROSOFT}.QLinearWhere": Recipe(_qlinear_where, domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.NhwcMaxPool": Recipe(
        lambda a, opset: [_bytes(1, 7, 8, 4)], _POOL_BASES, domain=MICROSOFT, integers=True
    ),
    f"{MICROSOFT}.DequantizeLinear": Recipe(_dequantize, domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.QuantizeLinear": Recipe(_quantize, domain=MICROSOFT, integers=True),
    f"{MICROSOFT}.Attention": Recipe(_attention_rows, ({"num_heads": 2},), domain=MICROSOFT),
    f"{MICROSOFT}.MultiHeadAttention": Recipe(_multi_head_attention, ({"num_heads": 2},), domain=MICROSOFT),
    f"{MICROSOFT}.EmbedLayerNormalization": Recipe(_embeddings, domain=MICROSOFT, outputs=lambda a: 2),
    f"{MICROSOFT}.BiasGelu": Recipe(lambda a, opset: [floats(2, 60), floats(60)], domain=MICROSOFT),
    f"{MICROSOFT}.FastGelu": Recipe(lambda a, opset: [floats(2, 60), floats(60)], domain=MICROSOFT),
    f"{MICROSOFT}.SkipLayerNormalization": Recipe(
        lambda a, opset: [floats(1, 3, 8), floats(1, 3, 8), floats(8), floats(8)], domain=MICROSOFT
    ),
    f"{MICROSOFT}.SkipSimplifiedLayerNormalization": Recipe(
        lambda a, opset: [floats(1, 3, 8), floats(1, 3, 8), floats(8)], domain=MICROSOFT
    ),
    f"{MICROSOFT}.QuickGelu": Recipe(lambda a, opset: [floats(1, 60)], domain=MICROSOFT),
    f"{MICROSOFT}.FusedConv": Recipe(
        _conv, ({"activation": "LeakyRelu", "activation_params": [0.2]},), domain=MICROSOFT, weights={1: lambda a: 0}
    ),
    f"{MICROSOFT}.FusedGemm": Recipe(
        _gemm, ({"activation": "LeakyRelu", "activation_alpha": 0.2},), domain=MICROSOFT,
        weights={1: lambda a: 0 if a.get("transB") else 1},
    ),
    f"{MICROSOFT}.FusedMatMul": Recipe(_fused_matmul, dynamic=(0, 1), domain=MICROSOFT),
    f"{MICROSOFT}.Gelu": Recipe(lambda a, opset: [floats(1, 60)], domain=MICROSOFT),
    f"{MICROSOFT}.Pad": Recipe(_pad, domain=MICROSOFT),
}  # fmt: skip
RECIPES[f"{MICROSOFT}.MatMulNBits"] = Recipe(
    _matmul_of_bits, ({"K": 32, "N": 5, "block_size": 16},), domain=MICROSOFT, integers=True
)
RECIPES[f"{MICROSOFT}.GatherBlockQuantized"] = Recipe(
    _gather_of_blocks, ({"block_size": 16},), (1,), domain=MICROSOFT, integers=True
)
for _kind in "Abs Ceil Celu Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Swish Tanh ThresholdedRelu".split():  # noqa: E501
    RECIPES[_kind] = _simple(1, 60)
for _kind in "Log Sqrt".split():
    RECIPES[_kind] = Recipe(lambda a, opset: [np.abs(floats(1, 60)) + np.float32(0.2)])
RECIPES["Swish"] = Recipe(lambda a, opset: [floats(1, 60)], float32=False)
for _kind in "ReduceL1 ReduceL2 ReduceLogSumExp ReduceSumSquare".split():
    RECIPES[_kind] = Recipe(_reduce(18), eight_bits=False)
RECIPES["ReduceLogSum"] = Recipe(
    lambda a, opset: [np.abs(x) + np.float32(0.2) if x.dtype == np.float32 else x for x in _reduce(18)(a, opset)],  # type: ignore[union-attr]
    eight_bits=False,
)
for _kind in "Equal Greater GreaterOrEqual Less LessOrEqual".split():
    RECIPES[_kind] = Recipe(lambda a, opset: [np.rint(floats(1, 3, 4)), np.zeros(4, np.float32)], eight_bits=False)
for _kind in "And Or Xor".split():
    RECIPES[_kind] = Recipe(lambda a, opset: [floats(1, 3, 4) > 0, floats(3, 1) > 0], dynamic=(0, 1), integers=True)
RECIPES["Not"] = Recipe(lambda a, opset: [floats(1, 3, 4) > 0], integers=True)
RECIPES["Where"] = Recipe(lambda a, opset: [floats(3, 4) > 0, floats(3, 4), floats(4)], dynamic=(0, 1), integers=True)
RECIPES["CastLike"] = Recipe(lambda a, opset: [floats(1, 20), ints(0)], eight_bits=False)
for _kind in "ArgMax ArgMin".split():
    RECIPES[_kind] = Recipe(lambda a, opset: [np.rint(floats(2, 3, 4, 5))], eight_bits=False)
RECIPES["TopK"] = Recipe(
    lambda a, opset: [floats(2, 3, 4, 5), *([ints(2)] if opset >= 10 else [])], outputs=lambda a: 2, eight_bits=False
)
RECIPES["GatherND"] = Recipe(lambda a, opset: [floats(2, 3, 4), np.array([[1, -1], [0, 2]], np.int64)])
RECIPES["GatherElements"] = Recipe(lambda a, opset: [floats(2, 3, 4), np.array([[[1, -1], [0, 1]]], np.int64)])
RECIPES["ScatterND"] = Recipe(
    lambda a, opset: [floats(2, 3, 4), np.array([[1, -1], [0, 2]], np.int64), floats(2, 4)], dynamic=(0, 2)
)
RECIPES["ScatterElements"] = Recipe(
    lambda a, opset: [floats(2, 3, 4), np.array([[[1, -1], [0, 1]]], np.int64), floats(1, 2, 2)], dynamic=(0, 2)
)
RECIPES["Expand"] = Recipe(lambda a, opset: [floats(3, 1), ints(2, 1, 4)])
RECIPES["Tile"] = Recipe(lambda a, opset: [floats(2, 3), ints(2, 3)])
RECIPES["OneHot"] = Recipe(
    lambda a, opset: [ints(0, -1, 2, 7), ints(3), np.array([0.5, 2.5], np.float32)], integers=True
)
RECIPES["CumSum"] = Recipe(lambda a, opset: [floats(2, 3, 4), ints(1)[0]], eight_bits=False)
RECIPES["CumProd"] = Recipe(lambda a, opset: [floats(2, 3, 4), ints(1)[0]], eight_bits=False)
RECIPES["BitCast"] = Recipe(lambda a, opset: [floats(1, 20)], ({"to": 6},), eight_bits=False)
RECIPES["GridSample"] = Recipe(
    lambda a, opset: [floats(1, 2, 4, 5), floats(1, 3, 3, 2)],
    ({"mode": "nearest"},),
    dynamic=(0, 1),
    eight_bits=False,
)
RECIPES["LRN"] = Recipe(lambda a, opset: [floats(1, 6, 3, 4)], ({"size": 3},), eight_bits=False)
RECIPES["ReverseSequence"] = Recipe(lambda a, opset: [floats(3, 3, 2), np.array([1, 3, 2], np.int64)])
for _kind in "Asin Asinh Atan Atanh Cosh Shrink Sinh Tan".split():
    RECIPES[_kind] = Recipe(lambda a, opset: [np.clip(floats(1, 60), -0.9, 0.9)], float32=False)
RECIPES["Acos"] = RECIPES["Asin"]
RECIPES["Acosh"] = Recipe(lambda a, opset: [np.abs(floats(1, 60)) + np.float32(1.2)], float32=False)
RECIPES["Mod"] = Recipe(lambda a, opset: [floats(1, 60), np.full(1, 0.7, np.float32)], ({"fmod": 1},), float32=False)
RECIPES["Mean"] = Recipe(lambda a, opset: [floats(1, 60), np.full(1, 0.7, np.float32)], float32=False)
for _kind in "Add Sub Mul Div Pow Min Max Sum".split():
    RECIPES[_kind] = _pair((1, 3, 4), (1, 3, 4))
RECIPES["Div"] = Recipe(lambda a, opset: [floats(1, 3, 4), np.abs(floats(1, 3, 4)) + 1], dynamic=(0, 1))
for _kind in "GlobalAveragePool GlobalMaxPool".split():
    RECIPES[_kind] = _simple(1, 3, 4, 5)


def _recurrent(gates: int, states: int) -> Recipe:
    def operands(a: Attributes, opset: int) -> list[np.ndarray | None]:
        directions = 2 if a.get("direction") == "bidirectional" else 1
        rows, turned = gates * 5, bool(a.get("layout"))
        shapes = [(4, 2, 3), (directions, rows, 3), (directions, rows, 5), (directions, 2 * rows)]
        found = [floats(*shape) * np.float32(0.5) for shape in shapes]
        initial = floats(directions, 2, 5)
        if turned:
            found[0], initial = found[0].swapaxes(0, 1).copy(), initial.swapaxes(0, 1).copy()
        return [*found, None, *[initial] * states]

    return Recipe(operands, ({"hidden_size": 5},), outputs=lambda a: 1 + states, eight_bits=False)


def _dynamic_lstm(a: Attributes, opset: int) -> list[np.ndarray | None]:
    sides = 2 if a.get("direction") == "bidirectional" else 1
    scales, zeros = np.full(sides, 0.01, np.float32), np.zeros(sides, np.int8)
    known = [_bytes(sides, 3, 20), _bytes(sides, 5, 20), floats(sides, 40)]
    return [floats(4, 1, 3), *known, None, None, None, None, scales, zeros, scales, zeros]


RECIPES[f"{MICROSOFT}.DynamicQuantizeLSTM"] = Recipe(
    _dynamic_lstm, ({"hidden_size": 5},), domain=MICROSOFT, outputs=lambda a: 3, integers=True
)
RECIPES |= {"GRU": _recurrent(3, 1), "LSTM": _recurrent(4, 2), "RNN": _recurrent(1, 1)}

VALUES: Mapping[str, Sequence[Any]] = {
    "activation_alpha": [[0.3]],
    "activation_beta": [[0.2]],
    "linear_before_reset": [1],
    "layout": [1],
    "input_forget": [1],
    "hidden_size": [4],
    "direction": ["reverse", "bidirectional", "forward"],
    "clip": [0.4],
    "allowzero": [1],
    "alpha": [0.3, 1.7, -0.2],
    "antialias": [1],
    "approximate": ["tanh", "none"],
    "auto_pad": ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"],
    "axis": [0, 1, 2, 3, -1, -2, -3],
    "bias": [0.1],
    "batch_dims": [1],
    "beta": [0.3, 0.0, -1.5],
    "block_size": [2],
    "blocksize": [1],
    "ceil_mode": [1],
    "channels_last": [1],
    "coordinate_transformation_mode": [
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
        "tf_half_pixel_for_nn", "tf_crop_and_resize",
    ],
    "count_include_pad": [1],
    "cubic_coeff_a": [-0.5],
    "dilations": [[2, 1], [1, 2], [2, 2]],
    "epsilon": [0.01],
    "exclude_outside": [1],
    "exclusive": [1],
    "extrapolation_value": [2.5],
    "fmod": [0, 1],
    "gamma": [1.7],
    "group": [2, 4],
    "keep_aspect_ratio_policy": ["stretch", "not_larger", "not_smaller"],
    "k": [1, 3],
    "keepdims": [0],
    "kernel_shape": [[2, 3], [3, 2], [1, 1]],
    "lambd": [0.2],
    "largest": [0],
    "max": [0.7],
    "min": [-0.4],
    "momentum": [0.5],
    "nearest_mode": ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"],
    "noop_with_empty_axes": [1],
    "num_outputs": [3],
    "opset": [11, 12, 13, 14],
    "output_dtype": [1, 2, 3, 4, 5, 10],
    "output_padding": [[1, 0], [1, 1]],
    "output_shape": [[9, 13], [8, 12]],
    "pads": [[1, 0, 1, 1], [0, 1, 2, 0]],
    "perm": [[0, 2, 3, 1], [3, 1, 0, 2]],
    "precision": [1, 10],
    "ratio": [0.2],
    "reduction": ["none", "add", "mul"],
    "reverse": [1],
    "stash_type": [1],
    "round_mode": ["down", "up"],
    "saturate": [0],
    "scales": [[1.0, 1.0, 2.0, 3.0]],
    "seed": [3],
    "select_last_index": [1],
    "sorted": [1],  # 0 leaves the order open
    "spatial": [0],
    "split": [[1, 5], [3, 3]],
    "storage_order": [1],
    "strides": [[2, 1], [3, 2]],
    "to": [1, 6, 7, 10],
    "training_mode": [1],
    "transA": [1],
    "transB": [1],
    "value": [1.5],
}  # fmt: skip
"""By attribute."""
SPECIAL: Mapping[tuple[str, str], Sequence[Any]] = {
    (f"{MICROSOFT}.Attention", "num_heads"): [1, 4],
    (f"{MICROSOFT}.Attention", "unidirectional"): [0, 1],
    (f"{MICROSOFT}.Attention", "scale"): [0.3],
    (f"{MICROSOFT}.Attention", "mask_filter_value"): [-1.5],
    (f"{MICROSOFT}.Attention", "do_rotary"): [0, 1],
    (f"{MICROSOFT}.Attention", "past_present_share_buffer"): [0, 1],
    (f"{MICROSOFT}.Attention", "qkv_hidden_sizes"): [[8, 8, 8], [4, 4, 16]],
    (f"{MICROSOFT}.Attention", "rotary_embedding_dim"): [0, 32],
    (f"{MICROSOFT}.EmbedLayerNormalization", "mask_index_type"): [0, 1],
    (f"{MICROSOFT}.MultiHeadAttention", "num_heads"): [1, 4],
    (f"{MICROSOFT}.MultiHeadAttention", "unidirectional"): [0, 1],
    (f"{MICROSOFT}.MultiHeadAttention", "scale"): [0.3],
    (f"{MICROSOFT}.MultiHeadAttention", "mask_filter_value"): [-1.5],
    (f"{MICROSOFT}.FusedConv", "activation"): ["Relu", "Tanh", "Sigmoid"],
    (f"{MICROSOFT}.FusedConv", "activation_params"): [[0.3]],
    (f"{MICROSOFT}.FusedGemm", "activation"): ["Relu", "Tanh", "Sigmoid"],
    (f"{MICROSOFT}.FusedGemm", "activation_alpha"): [0.3],
    (f"{MICROSOFT}.FusedGemm", "activation_beta"): [0.3],
    (f"{MICROSOFT}.FusedGemm", "activation_gamma"): [0.3],
    (f"{MICROSOFT}.FusedMatMul", "transBatchA"): [0, 1],
    (f"{MICROSOFT}.FusedMatMul", "transBatchB"): [0, 1],
    **{
        (f"{MICROSOFT}.{kind}", name): found
        for kind in ("MatMulNBits", "GatherBlockQuantized")
        for name, found in {
            "bits": [2, 8, 3],
            "block_size": [32],
            "quantize_axis": [1, 0],
            "gather_axis": [0, 1],
        }.items()
    },
    (f"{MICROSOFT}.MatMulNBits", "K"): [24],
    (f"{MICROSOFT}.MatMulNBits", "N"): [1, 8],
    (f"{MICROSOFT}.MatMulNBits", "accuracy_level"): [1],
    (f"{MICROSOFT}.MatMulNBits", "weight_prepacked"): [1],
    (f"{MICROSOFT}.QAttention", "num_heads"): [1, 4],
    (f"{MICROSOFT}.QAttention", "unidirectional"): [0, 1],
    (f"{MICROSOFT}.QAttention", "scale"): [0.3],
    (f"{MICROSOFT}.QAttention", "mask_filter_value"): [-1.5],
    (f"{MICROSOFT}.QAttention", "do_rotary"): [0, 1],
    (f"{MICROSOFT}.QAttention", "past_present_share_buffer"): [0, 1],
    ("GRU", "activations"): [["HardSigmoid", "Softsign"], ["Sigmoid"]],
    ("LSTM", "activations"): [["HardSigmoid", "Softsign", "Relu"]],
    (f"{MICROSOFT}.DynamicQuantizeLSTM", "activations"): [["HardSigmoid", "Softsign", "Relu"]],
    ("RNN", "activations"): [["ThresholdedRelu"], ["Affine"], ["Elu"], ["LeakyRelu"], ["ScaledTanh"], ["Softplus"]],
    ("DepthToSpace", "mode"): ["DCR", "CRD"],
    ("SpaceToDepth", "mode"): ["DCR", "CRD"],
    ("BitCast", "to"): [6, 12],
    ("GridSample", "align_corners"): [1],
    ("GridSample", "mode"): ["linear", "nearest", "cubic", "bilinear", "bicubic"],
    ("GridSample", "padding_mode"): ["zeros", "border", "reflection"],
    ("LRN", "beta"): [0.5],
    ("LRN", "size"): [1, 2, 5],
    ("ReverseSequence", "batch_axis"): [0, 1],
    ("ReverseSequence", "time_axis"): [0, 1],
    ("Resize", "mode"): ["nearest", "linear", "cubic"],
    ("Upsample", "mode"): ["nearest", "linear"],
    ("Pad", "mode"): ["constant", "edge", "reflect", "wrap"],
    (f"{MICROSOFT}.Pad", "mode"): ["constant", "edge", "reflect"],
    ("TensorScatter", "mode"): ["linear", "circular"],
    ("Pad", "pads"): [[0, 0, 1, 2, 0, 0, 2, 1], [0, 0, -1, 0, 0, 0, 1, -2]],
    ("Resize", "axes"): [[2, 3], [3, 2], [2]],
    ("Slice", "axes"): [[1, 2], [2, 0]],
    ("Slice", "starts"): [[0, 1], [-4, 2]],
    ("Slice", "ends"): [[3, -1], [100, 4]],
    ("Squeeze", "axes"): [[0], [2], [0, 2]],
    ("Unsqueeze", "axes"): [[0], [1], [0, 3]],
    ("ReduceMean", "axes"): [[1], [0, 2]],
    (f"{MICROSOFT}.QLinearReduceMean", "axes"): [[1], [0, 2]],
    ("ReduceMax", "axes"): [[1], [0, 2]],
    ("ReduceMin", "axes"): [[1], [0, 2]],
    ("ReduceProd", "axes"): [[1], [0, 2]],
    **{(f"Reduce{name}", "axes"): [[1], [0, 2]] for name in ("L1", "L2", "LogSum", "LogSumExp", "SumSquare")},
    ("ReduceSum", "axes"): [[1], [0, 2]],
    ("MaxPool", "kernel_shape"): [[2, 3], [3, 3]],
    ("AveragePool", "kernel_shape"): [[2, 3], [3, 3]],
}
"""By operator and attribute."""
REFUSED = frozenset(
    {
        ("Cast", "to"),
        ("DequantizeLinear", "output_dtype"),
        ("QuantizeLinear", "output_dtype"),
        ("QuantizeLinear", "precision"),
        ("Resize", "coordinate_transformation_mode"),
        ("GatherND", "batch_dims"),
        ("MaxPool", "dilations"),
        ("AveragePool", "dilations"),
        ("ScatterElements", "reduction"),
        ("ScatterND", "reduction"),
        (f"{MICROSOFT}.MatMulNBits", "weight_prepacked"),
        (f"{MICROSOFT}.NhwcMaxPool", "dilations"),
        (f"{MICROSOFT}.FusedMatMul", "transBatchA"),
        (f"{MICROSOFT}.FusedMatMul", "transBatchB"),
        (f"{MICROSOFT}.Attention", "do_rotary"),
        (f"{MICROSOFT}.Attention", "past_present_share_buffer"),
        (f"{MICROSOFT}.QAttention", "do_rotary"),
        (f"{MICROSOFT}.QAttention", "past_present_share_buffer"),
        (f"{MICROSOFT}.QLinearAveragePool", "count_include_pad"),
    }
)
"""Where onnxruntime computes what we don't, and the message says so; everywhere else its result is ours."""
REQUIRED: Mapping[str, Callable[[int], Attributes]] = {
    "Pad": lambda opset: {"pads": [0, 0, 1, 2, 0, 0, 2, 1]} if opset < 11 else {},
    "Slice": lambda opset: {"starts": [1, 0], "ends": [4, 5], "axes": [1, 2]} if opset < 10 else {},
    "TopK": lambda opset: {"k": 2} if opset < 10 else {},
    "Unsqueeze": lambda opset: {"axes": [0]} if opset < 13 else {},
    "Upsample": lambda opset: {"scales": [1.0, 1.0, 2.0, 2.5]} if opset < 9 else {},
}


WITHOUT_KERNEL = frozenset({f"{MICROSOFT}.QLinearReduceMean"})
"""Operators of onnxruntime's schemas that its CPU provider doesn't compute."""


def kinds() -> set[str]:
    """The operators that are imported, as RECIPES has them."""
    from tinycompile.frontend.onnx_schema import MICROSOFT_ATTRIBUTES

    ours = {*IMPORTERS, *FLOAT_IMPORTERS, "Upsample"} - {"QGemm"}
    return ours | {f"{MICROSOFT}.{name}" for name in MICROSOFT_ATTRIBUTES}


@cache
def schemas(kind: str) -> dict[int, frozenset[str]]:
    """The attributes of each version of an operator from opset 7 on, by the version's first opset."""
    if kind.startswith(MICROSOFT):
        name = kind.removeprefix(f"{MICROSOFT}.")
        found = [s for s in native.get_all_operator_schema() if s.domain == MICROSOFT and s.name == name]
    else:
        found = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == kind and s.domain == ""]
    by_version = {s.since_version: s for s in found}
    old = [v for v in by_version if v <= OLDEST]
    versions = [v for v in by_version if v > OLDEST] + ([max(old)] if old else [])
    return {
        max(v, OLDEST): frozenset(by_version[v].attributes) for v in sorted(versions) if not by_version[v].deprecated
    }


def values(kind: str, attribute: str) -> Sequence[Any]:
    return SPECIAL.get((kind, attribute)) or VALUES[attribute]


@dataclass(frozen=True, eq=False)
class Trial:
    """One operator with attributes in an opset, in float32 or in 8 bits."""

    kind: str
    opset: int
    attributes: Attributes
    eight_bits: bool

    def __str__(self) -> str:
        return f"{self.kind} opset {self.opset} {'int8' if self.eight_bits else 'float32'} {dict(self.attributes)}"


def opsets(kind: str, *, thorough: bool) -> list[int]:
    """The first opset of each version of an operator; if `thorough`, the last one as well."""
    if kind.startswith(MICROSOFT):
        return [13, 21] if thorough else [13]
    first = [v for v in schemas(kind) if v <= NEWEST]
    ends = [*(v - 1 for v in first[1:]), NEWEST]
    if kind == "Upsample":
        ends[-1] = 9
    return sorted({*first, *(ends if thorough else ends[-1:])})


def trials(kind: str, *, pairs: bool) -> Iterator[Trial]:
    """Every attribute at every other value, and, if `pairs`, every two."""
    recipe = RECIPES[kind]
    versions = schemas(kind)
    for opset in opsets(kind, thorough=pairs):
        names = sorted(versions[max(v for v in versions if v <= max(opset, min(versions)))])
        for base in recipe.bases:
            start = {**{k: v for k, v in base.items() if k in names}, **REQUIRED.get(kind, lambda _: {})(opset)}
            changes: list[Attributes] = [{}]
            changes += [{name: value} for name in names for value in values(kind, name)]
            if pairs:
                for a, b in itertools.combinations(names, 2):
                    changes += [{a: x, b: y} for x in values(kind, a) for y in values(kind, b)]
            for change in changes:
                for eight_bits in (False, True):
                    exists = recipe.eight_bits and not recipe.integers and opset >= 10
                    if exists if eight_bits else recipe.float32:
                        yield Trial(kind, opset, {**start, **change}, eight_bits)


def build(trial: Trial) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model, and its inputs."""
    recipe = RECIPES[trial.kind]
    arrays = recipe.operands(trial.attributes, trial.opset)
    model = _Model(trial.opset)
    names = list[str]()
    for index, array in enumerate(arrays):
        if array is None:
            names.append("")
        elif index in recipe.dynamic:
            names.append(model.input(array, trial.eight_bits))
        elif trial.eight_bits and index in recipe.weights and trial.opset >= 10:
            names.append(model.weights(array, recipe.weights[index](trial.attributes)))
        else:
            names.append(model.constant(array))
    while names and not names[-1]:
        names.pop()
    outputs = [f"y{i}" for i in range(recipe.outputs(trial.attributes))]
    kind = trial.kind.removeprefix(f"{MICROSOFT}.")
    node = helper.make_node(kind, names, outputs, domain=recipe.domain, **trial.attributes)
    model.nodes.append(node)
    for name in outputs:
        model.output(name, trial.eight_bits)
    return model.proto(), model.feed


class _Model:
    def __init__(self, opset: int) -> None:
        self.opset, self.count = opset, 0
        self.nodes, self.inputs, self.outputs, self.initializers = list[Any](), list[Any](), list[Any](), list[Any]()
        self.feed = dict[str, np.ndarray]()

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def constant(self, value: np.ndarray) -> str:
        name = self.name()
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name

    def node(self, kind: str, *operands: str, **attributes: Any) -> str:
        name = self.name()
        self.nodes.append(helper.make_node(kind, operands, [name], **attributes))
        return name

    def quantized(self, x: str, scale: float, zero: int) -> str:
        parameters = self.constant(_scale(scale)), self.constant(_zero(zero))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *parameters), *parameters)

    def input(self, array: np.ndarray, eight_bits: bool) -> str:
        name = f"x{len(self.inputs)}"
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, array.shape))
        self.feed[name] = np.ascontiguousarray(array)
        return self.quantized(name, 0.03, 3) if eight_bits else name

    def weights(self, array: np.ndarray, axis: int) -> str:
        """Per channel where the opset has that."""
        moved = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        scale = (np.abs(moved).max(axis=1) / 127).astype(np.float32)
        if self.opset < 13:
            scale = scale.max(keepdims=True)
        wide = scale.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
        integers = np.clip(np.rint(array / wide), -127, 127).astype(np.int8)
        if self.opset < 13:
            return self.node("DequantizeLinear", self.constant(integers), self.constant(scale[0]))
        zeros = np.zeros(scale.shape, np.int8)
        return self.node(
            "DequantizeLinear", self.constant(integers), self.constant(scale), self.constant(zeros), axis=axis
        )

    def output(self, name: str, eight_bits: bool) -> None:
        y = self.quantized(name, STEP, -2) if eight_bits else name
        self.outputs.append(onnx.ValueInfoProto(name=y))

    def proto(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "trial", self.inputs, self.outputs, self.initializers)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def onnxruntime_results(model: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
    """What onnxruntime computes; None if it refuses the model."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return [np.asarray(y) for y in session.run(None, dict(feed))]
    except Exception:  # onnxruntime has an exception type for each status
        return None


def attempt(trial: Trial, path: Path) -> str:
    """One of GOOD, or what is wrong."""
    model, feed = build(trial)
    want = onnxruntime_results(model, feed)
    path.write_bytes(model.SerializeToString())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = import_onnx(path, "trial", floats="all")
    except UnsupportedError as error:
        if want is None:
            return "refused by both"
        if any(y.size == 0 for y in want) and "empty" in str(error):
            return "refused"
        named = any((trial.kind, name) in REFUSED and name in str(error) for name in trial.attributes)
        return "refused" if named else f"refused: {error.problems}"
    except Exception as error:  # whatever else is a fault
        return f"{type(error).__name__}: {error}" if want is not None else "refused by both"
    if want is None:
        return "not in onnxruntime"
    got = interpreter.run(
        graph, [x.reshape(graph.types[n].shape) for x, n in zip(feed.values(), graph.inputs, strict=True)]
    )
    return compare([got[name] for name in graph.outputs], want, STEP if trial.eight_bits else None)


def compare(got: Sequence[np.ndarray], want: Sequence[np.ndarray], step: float | None) -> str:
    """Floats within rounding; integers, and floats in steps, equal but for ties of float arithmetic."""
    if len(got) != len(want):
        return f"{len(got)} results, not {len(want)}"
    for y, expected in zip(got, want, strict=True):
        if y.shape != expected.shape or y.dtype != expected.dtype:
            return f"{y.dtype}{y.shape}, not {expected.dtype}{expected.shape}"
        if step is None and y.dtype == np.float32:
            if not np.allclose(y, expected, rtol=1e-4, atol=1e-5, equal_nan=True):
                return f"off by {np.abs(y - expected).max()}"
            continue
        distance = np.abs(y.astype(np.float64) - expected) / (step or 1)
        if distance.max(initial=0) > 1.01 or np.count_nonzero(distance > 0.5) > max(1, 0.02 * distance.size):
            return f"off by {distance.max():.0f} steps, {np.count_nonzero(distance > 0.5)} of {distance.size} values"
    return "equal"


GOOD = ("equal", "refused", "refused by both", "not in onnxruntime")


def main(kinds_wanted: Sequence[str]) -> int:
    counts = Counter[str]()
    with TemporaryDirectory() as folder:
        for kind in kinds_wanted or sorted(RECIPES):
            for trial in trials(kind, pairs=True):
                result = attempt(trial, Path(folder) / "trial.onnx")
                counts[result if result in GOOD else "wrong"] += 1
                if result not in GOOD:
                    print(f"{trial}: {result}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
