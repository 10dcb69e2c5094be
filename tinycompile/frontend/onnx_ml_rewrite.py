"""What rules need that put a node of ai.onnx.ml in ONNX's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tinycompile.frontend.onnx_rewrite import Rewriting

_FLOAT = 1  # TensorProto


class MlRewriting(Rewriting):
    """Of a node; `ranks` are the numbers of dimensions of constants and inputs."""

    def __init__(self, node: Any, taken: set[str], ranks: Mapping[str, int]) -> None:
        super().__init__(node, taken)
        self.ranks = ranks


Rule = Callable[[MlRewriting], list[Any]]
RULES: dict[str, Rule] = {}
"""By operator."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Decorator: these operators are rewritten by this function."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def floats_of_operand(step: MlRewriting, operand: int = 0) -> tuple[Any, str]:
    """A node that makes a float tensor of an operand, and its name."""
    name = step.name(f"float_{operand}")
    return step.make("Cast", [step.node.input[operand]], name, to=_FLOAT), name
