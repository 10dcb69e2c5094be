"""Weights that the networks of a space share (Once-for-All, ICLR 2020): a smaller network has a part of a larger one's.

What has the same name is shared. Of channels and features the first are taken, of windows the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array

Shape = tuple[int, ...]
_WINDOWS = 2
"""The first of a convolution's axes that is one of its window."""


def part_of(whole: Shape, part: Shape) -> tuple[slice, ...]:
    """Where in a tensor of a shape another of fewer elements along some axes is."""
    found = list[slice]()
    for axis, (most, size) in enumerate(zip(whole, part, strict=True)):
        first = (most - size) // 2 if len(whole) == 4 and axis >= _WINDOWS else 0
        found.append(slice(first, first + size))
    return tuple(found)


def key_of(name: str, shape: Sequence[int]) -> str:
    """Of a tensor among the shared ones: tensors of other ranks aren't parts of each other."""
    return f"{name} {len(shape)}"


def shapes_of(protos: Iterable[Any], names: Iterable[Iterable[str]]) -> dict[str, Shape]:
    """By key, the smallest shapes of which the tensors with these names of all networks are parts."""
    found = dict[str, Shape]()
    for proto, wanted in zip(protos, map(set, names), strict=True):
        for each in proto.graph.initializer:
            shape = tuple(each.dims)
            if each.name in wanted:
                key = key_of(each.name, shape)
                found[key] = tuple(map(max, found.get(key, shape), shape))
    return found


def inherited(proto: Any, shared: Mapping[str, Array]) -> Any:
    """A ModelProto with the shared weights; what these don't have keeps its own."""
    onnx = onnx_module()
    found = type(proto)()
    found.CopyFrom(proto)
    for each in found.graph.initializer:
        known = shared.get(key_of(each.name, each.dims))
        if known is None:
            continue
        value = onnx.numpy_helper.to_array(each).copy()
        common = tuple(map(min, value.shape, known.shape))
        value[part_of(value.shape, common)] = known[part_of(known.shape, common)]
        each.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(value), each.name))
    return found
