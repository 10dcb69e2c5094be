"""Variables that have handles, for a model that is run operator by operator, where none has what another one left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array

_HANDLE, _READ, _ASSIGN, _INITIALISE = "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"


class Variables:
    """What the variables hold, by container and name; at first what the subgraphs of CALL_ONCE assign."""

    def __init__(self, model: Any, graph: Any, types: Mapping[int, str], names: Mapping[int, str]) -> None:
        self._model, self._types, self._names = model, types, names
        self._handles = self._handles_of(graph)
        self._values = dict[tuple[Any, Any], Array]()
        for operator in graph.operators:
            if self._name(operator) == _INITIALISE:
                self._initialise(model.subgraphs[operator.builtinOptions.initSubgraphIndex])

    def takes(self, name: str) -> bool:
        """Whether an operator is one of these."""
        return name in (_HANDLE, _READ, _ASSIGN, _INITIALISE)

    def run(
        self, name: str, inputs: Sequence[int], results: Sequence[int], values: Mapping[int, Array]
    ) -> dict[int, Array]:
        """The results of one of these operators, by tensor."""
        if name == _ASSIGN:
            self._values[self._handles[inputs[0]]] = values[inputs[1]]
        return {results[0]: self._values[self._handles[inputs[0]]]} if name == _READ else {}

    def _initialise(self, graph: Any) -> None:
        handles = self._handles_of(graph)
        for operator in graph.operators:
            if self._name(operator) == _ASSIGN:
                tensor = graph.tensors[int(operator.inputs[1])]
                data = np.asarray(self._model.buffers[tensor.buffer].data, np.uint8).tobytes()
                value = np.frombuffer(data, self._types[tensor.type]).reshape(list(tensor.shape))
                self._values[handles[int(operator.inputs[0])]] = value

    def _handles_of(self, graph: Any) -> dict[int, tuple[Any, Any]]:
        found = dict[int, tuple[Any, Any]]()
        for operator in graph.operators:
            if self._name(operator) == _HANDLE:
                options = operator.builtinOptions
                found[int(operator.outputs[0])] = (options.container, options.sharedName)
        return found

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return self._names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")
