"""A TFLite file with other weights in some layers: INT4 or INT8 tensors, new scales and biases; all else as it is."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, cast

import flatbuffers  # pyright: ignore[reportMissingTypeStubs] - it has none
import numpy as np

from tinycompile.errors import ToolMissingError
from tinycompile.ir import Array, Graph
from tinycompile.mixed_precision.fitting import LowBits, NewBias
from tinycompile.mixed_precision.network import Layer, weight_axis
from tinycompile.mixed_precision.prices import as_stored

_NIBBLE, _BYTE = 4, 8
_VERSIONS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10}
"""Of operators with INT4 weights, at least; and of FULLY_CONNECTED with a scale for each output (12)."""
_FULLY_CONNECTED_BY_CHANNEL = 12


@dataclass(frozen=True)
class Place:
    """Where a file has a layer: numbers of its tensors, and of the operator that reads them."""

    operator: int
    weights: int
    bias: int | None


@dataclass(frozen=True, eq=False)
class TfliteFile:
    """A file, and the layers of its graph."""

    content: bytes
    graph: Graph
    layers: Mapping[str, Layer]
    description: str = ""

    @cached_property
    def places(self) -> dict[str, Place]:
        """As `places`."""
        return places(self.content, self.graph, self.layers)

    def rewritten(self, changes: Mapping[str, LowBits | NewBias]) -> bytes:
        """The file with these layers changed; others that it has no place for stay."""
        kept = {name: change for name, change in changes.items() if name in self.places}
        return rewritten(self.content, self.places, self.layers, kept, self.description)


def places(content: bytes, graph: Graph, layers: Mapping[str, Layer]) -> dict[str, Place]:
    """Of the layers whose weights and biases are tensors of the file, which no other operator reads."""
    subgraph = _object(content).subgraphs[0]
    readers = dict[int, list[int]]()
    for number, operator in enumerate(subgraph.operators):
        for index in operator.inputs:
            readers.setdefault(int(index), []).append(number)
    found = dict[str, Place]()
    for name, layer in layers.items():
        source = graph.sources.get(layer.node.inputs[1])
        if source is None or len(readers.get(source.index, [])) != 1:
            continue
        (number,) = readers[source.index]
        inputs = [int(index) for index in subgraph.operators[number].inputs]
        bias = inputs[2] if len(inputs) > 2 and inputs[2] >= 0 else None
        if inputs[1] == source.index and (bias is None or len(readers[bias]) == 1):
            found[name] = Place(number, inputs[1], bias)
    return found


def rewritten(
    content: bytes,
    at: Mapping[str, Place],
    layers: Mapping[str, Layer],
    changes: Mapping[str, LowBits | NewBias],
    description: str,
) -> bytes:
    """The file with these layers changed."""
    model = _object(content)
    model.description = description
    subgraph = model.subgraphs[0]
    for name, change in changes.items():
        place, layer = at[name], layers[name]
        if isinstance(change, LowBits):
            _replace_weights(model, subgraph.tensors[place.weights], layer, change)
            _raise_version(model, subgraph.operators[place.operator], change.bits)
        if place.bias is not None and change.bias is not None:
            tensor = subgraph.tensors[place.bias]
            _set_data(model, tensor, change.bias.astype("<i4").tobytes())
            if isinstance(change, LowBits):
                scales = change.scales.astype(np.float64) * layer.sig.input.scale
                _set_scales(tensor, scales.astype(np.float32), 0)
    builder: Any = cast(Any, flatbuffers).Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def packed_nibbles(codes: Array) -> bytes:
    """Two codes within -8 and 7 to a byte, the first in its lower half; an odd one has zeros above it."""
    flat = codes.ravel().astype(np.uint8) & 0x0F
    flat = np.append(flat, np.uint8(0)) if flat.size % 2 else flat
    return (flat[::2] | flat[1::2] << _NIBBLE).astype(np.uint8).tobytes()


@cache
def _schema() -> Any:
    """The classes that hold a whole file. Raises ToolMissingError without LiteRT, which brings them."""
    try:
        from ai_edge_litert import schema_py_generated as schema  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise ToolMissingError(
            "ai-edge-litert is not installed",
            why="a TFLite file is changed by way of its classes",
            hint="pip install 'tinycompile[verify]'",
        ) from error
    return cast(Any, schema)


def _object(content: bytes) -> Any:
    return _schema().ModelT.InitFromObj(_schema().Model.GetRootAs(content, 0))


def _replace_weights(model: Any, tensor: Any, layer: Layer, change: LowBits) -> None:
    codes, few = as_stored(layer, change.codes), change.bits < _BYTE
    tensor.type = _schema().TensorType.INT4 if few else _schema().TensorType.INT8
    _set_data(model, tensor, packed_nibbles(codes) if few else codes.astype(np.int8).tobytes())
    _set_scales(tensor, change.scales, weight_axis(layer.node.op))


def _set_data(model: Any, tensor: Any, data: bytes) -> None:
    """In a buffer of its own: files may share them among tensors."""
    users = sum(each.buffer == tensor.buffer for graph in model.subgraphs for each in graph.tensors)
    if users > 1:
        model.buffers.append(copy(model.buffers[tensor.buffer]))
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(data, np.uint8)


def _set_scales(tensor: Any, scales: Array, axis: int) -> None:
    quantization = tensor.quantization
    quantization.scale = scales.astype(np.float32)
    quantization.zeroPoint = np.zeros(scales.size, np.int64)
    quantization.quantizedDimension = axis
    quantization.min, quantization.max = None, None


def _raise_version(model: Any, operator: Any, bits: int) -> None:
    """Operators of one kind and version share an entry; one with INT4 weights needs a newer version."""
    codes, old = model.operatorCodes, model.operatorCodes[operator.opcodeIndex]
    kinds = {getattr(_schema().BuiltinOperator, name): version for name, version in _VERSIONS.items()}
    kind = max(old.builtinCode, old.deprecatedBuiltinCode)
    wanted = max(old.version, kinds.get(kind, 1) if bits < _BYTE else 1)
    if kind == _schema().BuiltinOperator.FULLY_CONNECTED:
        wanted = max(wanted, _FULLY_CONNECTED_BY_CHANNEL)
    for index, code in enumerate(codes):
        if (code.builtinCode, code.version) == (old.builtinCode, wanted):
            operator.opcodeIndex = index
            return
    raised = copy(old)
    raised.version = wanted
    codes.append(raised)
    operator.opcodeIndex = len(codes) - 1
