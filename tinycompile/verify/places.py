"""A tensor of the firmware and the same tensor of an ONNX model: other axes, signed for unsigned, some channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tinycompile.ir import Array


class Axes(Protocol):
    """`frontend.onnx_values.Placed`."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def order(self) -> tuple[int, ...]: ...
    @property
    def physical_shape(self) -> tuple[int, ...]: ...
    def row_order(self) -> Array | None: ...


@dataclass(frozen=True, eq=False)
class Place:
    """Where the firmware has a tensor of the model.

    Attributes:
        name: in the ONNX file. entry: of the tensor in the report.
        shape: of the firmware's tensor with all channels.
    """

    name: str
    at: Axes
    shape: tuple[int, ...]
    entry: dict[str, Any]

    def ours(self, array: Array) -> Array:
        """The model's tensor as the firmware has it: all of its reported channels."""
        order = self.at.row_order()
        moved = array.transpose(self.at.order) if order is None else array.ravel()[order]
        whole = moved.reshape(self.shape)
        if array.dtype.name == f"u{self.entry['dtype']}":
            whole = _other_sign(whole)
        channels = self.entry["source_channels"]
        part = whole if channels is None else whole[..., channels]
        return np.ascontiguousarray(part).reshape(self.entry["shape"])

    def theirs(self, array: Array, dtype: np.dtype, filling: Array | None) -> Array:
        """The firmware's tensor as the model has it; channels that it hasn't are those of `filling`."""
        channels = self.entry["source_channels"]
        whole = array
        if channels is not None:
            if filling is None:
                raise ValueError("some channels are unknown")
            whole = self._whole(filling)
            whole[..., channels] = array.reshape(whole[..., channels].shape)
        whole = whole.reshape(self.shape)
        if dtype.name == f"u{whole.dtype.name}":
            whole = _other_sign(whole)
        order = self.at.row_order()
        if order is not None:
            plain = np.empty(whole.size, whole.dtype)
            plain[order] = whole.ravel()
            return plain.reshape(self.at.shape)
        back = [self.at.order.index(i) for i in range(len(self.at.order))]
        return np.ascontiguousarray(whole.reshape(self.at.physical_shape).transpose(back)).reshape(self.at.shape)

    def _whole(self, filling: Array) -> Array:
        full = Place(self.name, self.at, self.shape, self.entry | {"source_channels": None, "shape": self.shape})
        return full.ours(filling).copy()


def _other_sign(array: Array) -> Array:
    """Unsigned integers lower by half of their range, as signed ones; and back: the highest bit is the other one."""
    bits = array.view(f"u{array.itemsize}")
    other = "i" if array.dtype.kind == "u" else "u"
    return (bits ^ bits.dtype.type(1 << 8 * array.itemsize - 1)).view(f"{other}{array.itemsize}")
