"""The oracle: LiteRT's reference kernels, or others; every intermediate tensor kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


class Oracle:
    """A model loaded into LiteRT with the kernels of a resolver; by default `BUILTIN_REF`'s, or those without delegates
    if one of its operators has no others.
    """

    def __init__(self, model: bytes, resolver: OpResolverType | None = None) -> None:
        try:
            self.interpreter = _loaded(model, resolver or OpResolverType.BUILTIN_REF)
        except ValueError as error:
            if resolver is not None or "Didn't find op" not in str(error):
                raise
            self.interpreter = _loaded(model, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        self.interpreter.allocate_tensors()

    def run(self, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """All tensors after one inference, by index."""
        for detail, value in zip(self.interpreter.get_input_details(), inputs, strict=True):
            self.interpreter.set_tensor(detail["index"], value)
        self.interpreter.invoke()
        tensors: dict[int, np.ndarray] = {}
        for detail in self.interpreter.get_tensor_details():
            if detail["dtype"] is np.object_:
                continue  # a variable's handle, whose bytes are LiteRT's own and may crash it
            try:
                tensors[detail["index"]] = self.interpreter.get_tensor(detail["index"])
            except ValueError:  # a temporary tensor of the interpreter that holds no data
                continue
        return tensors


def _loaded(model: bytes, kernels: OpResolverType) -> Interpreter:
    return Interpreter(
        model_content=model, experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=True
    )


def run(model: bytes, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """One inference of a model: all tensors by index."""
    return Oracle(model).run(inputs)
