"""The model that a quantised TFLite file stands for: the same operators on floats, which LiteRT computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.verify.operators import Operators, Step, integers, listed

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
"""Operators that have nothing to do here."""


@dataclass(frozen=True, eq=False)
class Steps:
    """How integers of a tensor stand for real numbers: scale * (q - zero_point).

    Attributes:
        scale, zero_point: one, or one for each element of `axis`.
        low, high: the ends of the type's range.
    """

    scale: Array
    zero_point: Array
    axis: int
    low: int
    high: int

    def real(self, values: Array) -> Array:
        shape = [-1 if axis == self.axis else 1 for axis in range(values.ndim)] if self.scale.size > 1 else []
        scale, zero = (part.reshape(shape) if shape else part[0] for part in (self.scale, self.zero_point))
        return ((values.astype(np.float64) - zero) * scale).astype(np.float32)

    def quantized(self, values: Array) -> Array:
        """The nearest steps, int64, halves away from zero; saturated."""
        scaled = values.astype(np.float64) / self.scale[0]
        rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) + self.zero_point[0]
        return np.clip(rounded, self.low, self.high).astype(np.int64)


class FloatTwin(Operators):
    """The operators of a subgraph on floats: weights are the real numbers that their integers stand for.

    Attributes:
        steps_of: per tensor that was quantised, how.
        names: of the tensors.
    """

    def __init__(self, content: bytes, subgraph: int) -> None:
        """Raises ToolMissingError without LiteRT."""
        self.steps_of = dict[int, Steps]()
        self._number = subgraph
        super().__init__(content, subgraph)
        self.names = {i: _text(tensor.name) for i, tensor in enumerate(self._graph.tensors)}

    def apply(self, step: Step, values: Mapping[int, Array]) -> list[Array] | None:
        """An operator's results of floats; None where LiteRT doesn't compute it on floats."""
        if step.name not in _CONVERSIONS:
            return step.run(values)
        return [values[step.fed[0]]] if step.fed and step.fed[0] in values else None

    def _read(self, content: bytes) -> Any:
        model = super()._read(content)
        for index, tensor in enumerate(model.subgraphs[self._number].tensors):
            steps = self._steps(tensor)
            if steps is None:
                continue
            self.steps_of[index] = steps
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                values = integers(
                    np.asarray(data, np.uint8).tobytes(), self._types[tensor.type], listed(tensor, "shape")
                )
                model.buffers.append(self._schema.BufferT())
                model.buffers[-1].data = np.frombuffer(steps.real(values).tobytes(), np.uint8)
                tensor.buffer = len(model.buffers) - 1
            tensor.type, tensor.quantization = self._schema.TensorType.FLOAT32, None
        return model

    def _steps(self, tensor: Any) -> Steps | None:
        dtype, quant = self._types[tensor.type], tensor.quantization
        scale = np.array(listed(quant, "scale"), np.float64)
        if not scale.size or not dtype.removeprefix("u").startswith("int"):
            return None
        zeros = np.array(listed(quant, "zeroPoint") or [0], np.int64)
        bits, unsigned = int(dtype.removeprefix("u").removeprefix("int")), dtype.startswith("u")
        low = 0 if unsigned else -(2 ** (bits - 1))
        zero_point = np.broadcast_to(zeros if zeros.size == scale.size else zeros[:1], scale.shape)
        return Steps(scale, zero_point, int(quant.quantizedDimension), low, low + 2**bits - 1)


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
