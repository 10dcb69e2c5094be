"""States that were declared with `--state`: for the program that defines the model's meaning they are inputs and
outputs like others, which somebody carries from one step to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from tinycompile.ir import Array


def initial_of_onnx(model: Any, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """What such inputs of an ONNX model begin with: what stands for 0, by the first node that names their zero point.

    Args:
        names: outputs by input. shapes: of inputs with dynamic sizes; without one, these are 1.
    """
    constants = {i.name: i for i in model.graph.initializer}
    found = dict[str, Array]()
    for value in model.graph.input:
        if value.name in names:
            t = value.type.tensor_type
            shape = shapes.get(value.name, tuple(d.dim_value or 1 for d in t.shape.dim))
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(t.elem_type))
            zero = _zero_point(model, value.name, constants) if dtype.kind in "iu" else 0
            found[value.name] = np.full(shape, zero, dtype)
    return found


def _zero_point(model: Any, name: str, constants: Mapping[str, Any]) -> int:
    for node in model.graph.node:
        for index, operand in enumerate(node.input):
            following = list(node.input[index + 1 : index + 3])
            if operand == name and len(following) == 2 and all(n in constants for n in following):
                return int(numpy_helper.to_array(constants[following[1]]).ravel()[0])
    return 0
