"""A QDQ ONNX file with other weights in some layers: new codes, scales and biases; all else as it is.

Codes of few bits are stored as int8, which every opset and reader has; a build packs them all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.mixed_precision.fitting import LowBits, NewBias
from tinycompile.mixed_precision.network import Layer, windows_first
from tinycompile.mixed_precision.qdq_names import nodes_in_file
from tinycompile.ops.fully_connected import FullyConnected

_PER_CHANNEL = 13
"""Operator set from which on DequantizeLinear has a scale for each channel."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a file has a layer.

    Attributes:
        node: Conv, Gemm or MatMul. weights: the DequantizeLinear of its constant weights, which nothing else reads.
        bias: the same of its bias; None where it has none.
    """

    node: Any
    weights: Any
    bias: Any | None


@dataclass(frozen=True, eq=False)
class QdqFile:
    """A file as an ONNX model, and the layers of its graph."""

    proto: Any
    layers: Mapping[str, Layer]
    description: str = ""

    @cached_property
    def places(self) -> dict[str, Place]:
        """Of the layers whose weights and biases are dequantised constants that no other node reads."""
        graph = self.proto.graph
        if any(each.domain in ("", "ai.onnx") and each.version < _PER_CHANNEL for each in self.proto.opset_import):
            return {}
        made = {name: node for node in graph.node for name in node.output}
        constants = {value.name for value in graph.initializer}
        uses = [name for node in graph.node for name in node.input]

        def dequantised(name: str) -> Any | None:
            node = made.get(name)
            if node is None or node.op_type != "DequantizeLinear" or uses.count(name) != 1:
                return None
            return node if all(each in constants for each in node.input if each) else None

        found = dict[str, Place]()
        for name, node in nodes_in_file(self.proto, self.layers).items():
            layer = self.layers[name]
            weights, bias = dequantised(node.input[1]), dequantised(node.input[2]) if len(node.input) > 2 else None
            if weights is not None and (bias is not None) == layer.has_bias and _is_plain(node):
                found[name] = Place(node, weights, bias)
        return found

    def rewritten(self, changes: Mapping[str, LowBits | NewBias]) -> bytes:
        """The file with these layers changed; others that it has no place for stay."""
        file = QdqFile(deepcopy(self.proto), self.layers)
        file.proto.producer_name = self.description
        for name, change in changes.items():
            place, layer = file.places.get(name), self.layers[name]
            if place is None:
                continue
            if isinstance(change, LowBits):
                codes, axis = _as_stored(layer, place.node, change.codes)
                scales = change.scales.astype(np.float32)
                file.dequantise(place.weights, codes.astype(np.int8), scales, np.zeros(scales.size, np.int8), axis)
            if place.bias is not None and change.bias is not None:
                steps = change.scales.astype(np.float64) if isinstance(change, LowBits) else layer.weight_scales
                scales = (steps * layer.sig.input.scale).astype(np.float32)
                zeros = np.zeros(scales.size, np.int32)
                file.dequantise(place.bias, change.bias.astype(np.int32), scales, zeros, 0)
        return bytes(file.proto.SerializeToString())

    def dequantise(self, node: Any, *given: Any) -> None:
        """Give a DequantizeLinear other constants: (codes, scales, zero points, axis of the scales)."""
        onnx, (codes, scales, zeros, axis) = onnx_module(), given
        taken = {value.name for value in self.proto.graph.initializer}
        names = list[str]()
        for value, what in ((codes, "codes"), (scales, "scales"), (zeros, "zero_points")):
            name = f"{node.output[0]}_{what}"
            while name in taken:
                name += "_"
            self.proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
            names.append(name)
        replaced = set(node.input)
        del node.input[:], node.attribute[:]
        node.input.extend(names)
        node.attribute.append(onnx.helper.make_attribute("axis", axis))
        read = {name for each in self.proto.graph.node for name in each.input}
        kept = [v for v in self.proto.graph.initializer if v.name not in replaced or v.name in read]
        del self.proto.graph.initializer[:]
        self.proto.graph.initializer.extend(kept)


def _is_plain(node: Any) -> bool:
    """Gemm without factors or a transposed operand."""
    values = {each.name: each for each in node.attribute}
    factors = [values[name].f for name in ("alpha", "beta") if name in values]
    return all(factor == 1 for factor in factors) and not ("transA" in values and values["transA"].i)


def _as_stored(layer: Layer, node: Any, codes: Array) -> tuple[Array, int]:
    """(codes in the shape of the file's weights, the axis of the output channels)."""
    if node.op_type == "Conv":
        if isinstance(layer.op, FullyConnected):
            return codes.reshape(*codes.shape, 1, 1), 0
        return windows_first(layer, codes), 0
    transposed = any(each.name == "transB" and each.i for each in node.attribute)
    return (codes, 0) if transposed else (codes.T, 1)
