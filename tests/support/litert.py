"""The oracle: LiteRT's reference kernels, or others, every intermediate tensor kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


class Oracle:
    """A model loaded into LiteRT with the kernels of a resolver."""

    def __init__(self, model: bytes, resolver: OpResolverType = OpResolverType.BUILTIN_REF) -> None:
        self.interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=True,
        )
        self.interpreter.allocate_tensors()

    def run(self, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """All tensors after one inference, by index."""
        for detail, value in zip(self.interpreter.get_input_details(), inputs, strict=True):
            self.interpreter.set_tensor(detail["index"], value)
        self.interpreter.invoke()
        tensors: dict[int, np.ndarray] = {}
        for detail in self.interpreter.get_tensor_details():
            try:
                tensors[detail["index"]] = self.interpreter.get_tensor(detail["index"])
            except ValueError:  # a temporary tensor of the interpreter that holds no data
                continue
        return tensors


def run(model: bytes, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """One inference of a model: all tensors by index."""
    return Oracle(model).run(inputs)
