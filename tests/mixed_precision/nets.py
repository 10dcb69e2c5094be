"""A small int8 TFLite network with all that low bits have to do with: layers, a residual sum, saturation."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinycompile.dtypes import INT8, INT32
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array, Graph, Quantization
from tinycompile.quantize.as_tflite_file import Operator, Tensor, TfliteModel

CHANNELS, CLASSES, SIZE = 16, 6, 8


def activation(scale: float, zero_point: int = 0) -> Quantization:
    return Quantization.per_tensor(scale, zero_point)


def _weights(random: np.random.Generator, shape: tuple[int, ...], axis: int | None) -> tuple[Array, Quantization]:
    values = random.normal(0, 1, shape)
    others = tuple(i for i in range(len(shape)) if i != axis)
    scale = np.abs(values).max(axis=others if axis is not None else None).reshape(-1) / 127
    step = scale.reshape([-1 if i == axis else 1 for i in range(len(shape))]) if axis is not None else scale
    quant = Quantization((scale * 0.1).astype(np.float32), np.zeros(len(scale), np.int64), axis)
    return np.rint(values / step).astype(np.int8), quant


@cache
def content(channels: int = CHANNELS) -> bytes:
    """3x3 convolution with RELU, 1x1 convolution, their sum, depthwise, average over the image, fully connected."""
    random = np.random.default_rng(34)
    tensors, operators = list[Tensor](), list[Operator]()

    def add(name: str, shape: tuple[int, ...], quant: Quantization, values: Array | None = None) -> int:
        dtype = INT8 if values is None or values.dtype == np.int8 else INT32
        tensors.append(Tensor(name, shape, dtype, quant, values))
        return len(tensors) - 1

    def layer(kind: str, x: int, shape: tuple[int, ...], axis: int | None, result: int, **options: int) -> None:
        values, quant = _weights(random, shape, axis)
        operand = tensors[x].quant or activation(1.0)
        outputs = shape[axis or 0]
        weights = add(f"{kind}_{result}_weights", shape, quant, values)
        scale = (quant.scale * operand.scale).astype(np.float32)
        bias = add(
            f"{kind}_{result}_bias",
            (outputs,),
            Quantization(scale, np.zeros(scale.size, np.int64), 0 if axis is not None else None),
            np.rint(random.normal(0, 0.3, outputs) / scale).astype(np.int32),
        )
        table = {
            "CONV_2D": "Conv2DOptions",
            "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
            "FULLY_CONNECTED": "FullyConnectedOptions",
        }[kind]
        operators.append(Operator(kind, 3, [x, weights, bias], [result], table, options))

    image = (1, SIZE, SIZE, channels)
    x = add("x", (1, SIZE, SIZE, 3), activation(0.02, 3))
    first = add("first", image, activation(0.03, -128))
    second, both = add("second", image, activation(0.05, 5)), add("both", image, activation(0.06, -20))
    third, average = add("third", image, activation(0.05, 0)), add("average", (1, channels), activation(0.02, 0))
    scores = add("scores", (1, CLASSES), activation(0.05, 7))
    window = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    layer("CONV_2D", x, (channels, 3, 3, 3), 0, first, **window, FusedActivationFunction=1)
    layer("CONV_2D", first, (channels, 1, 1, channels), 0, second, **window)
    operators.append(Operator("ADD", 2, [first, second], [both], "AddOptions"))
    layer("DEPTHWISE_CONV_2D", both, (1, 3, 3, channels), 3, third, **window, DepthMultiplier=1)
    axes = len(tensors)
    tensors.append(Tensor("axes", (2,), INT32, None, np.array([1, 2], np.int32)))
    operators.append(Operator("MEAN", 2, [third, axes], [average], "ReducerOptions", {"KeepDims": False}))
    layer("FULLY_CONNECTED", average, (CLASSES, channels), None, scores)
    return TfliteModel(tensors, operators, [x], [scores], "").content()


@cache
def graph() -> Graph:
    return import_tflite(content(), "small", "small")


def samples(count: int, seed: int = 1) -> Array:
    """float32 (count, 1, rows, columns, 3)."""
    random = np.random.default_rng(seed)
    return random.normal(0, 1, (count, 1, SIZE, SIZE, 3)).astype(np.float32)
