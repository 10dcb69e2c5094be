"""A node of a model in other words: what the rules of onnx_upgrade.py and onnx_contrib.py work with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np

from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.tflite_scope import Rejected


class Rewriting:
    """One node, and the names and constants that its new form needs."""

    def __init__(self, node: Any, taken: set[str]) -> None:
        """`taken`: the names of the model's values, to which those of new ones are added."""
        self.node, self.taken = node, taken
        self.attributes = {a.name: a for a in node.attribute}
        self.initializers = list[Any]()

    def value(self, name: str, default: Any) -> Any:
        """Of an attribute."""
        found = self.attributes.get(name)
        return default if found is None else onnx_module().helper.get_attribute_value(found)

    def take(self, name: str, default: Any) -> Any:
        """The value of an attribute that the new form doesn't have."""
        value = self.value(name, default)
        self.attributes.pop(name, None)
        return value

    def name(self, stem: str) -> str:
        """A free one."""
        name, number = f"{self.node.output[0]}/{stem}", 1
        while name in self.taken:
            number += 1
            name = f"{self.node.output[0]}/{stem}_{number}"
        self.taken.add(name)
        return name

    def constant(self, stem: str, value: Any, dtype: Any) -> str:
        """A new initialiser."""
        name = self.name(stem)
        self.initializers.append(onnx_module().numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def again(self, inputs: list[str], kind: str = "") -> list[Any]:
        """The node with other operands and the attributes that are left."""
        node = onnx_module().helper.make_node(kind or self.node.op_type, inputs, list(self.node.output), self.node.name)
        node.attribute.extend(self.attributes.values())
        return [node]

    def make(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        """Another node; it has the old one's name if it computes its result."""
        name = self.node.name if output == self.node.output[0] else ""
        return onnx_module().helper.make_node(kind, inputs, [output], name, **attributes)


S = TypeVar("S", bound=Rewriting)


def rewritten(step: Rewriting, rule: Callable[[], list[Any]]) -> list[Any]:
    """What a rule makes of a node.

    Raises:
        Rejected: it can't, or it stumbles: nobody has checked the node's operands and attributes.
    """
    try:
        return rule()
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        reason = f"its attributes and operands contradict each other: {type(error).__name__}: {error}"
        raise Rejected(reason[:300]) from error


def rewrite_nodes(
    clone: Any, step_of: Callable[[Any], S | None], rule: Callable[[S], list[Any]], where: str, done: list[Any]
) -> None:
    """Put those nodes of a model in other words for which there is a step, and add the constants that these need.

    Args:
        done: empty; has the nodes in front of the one that a rule looks at.

    Raises:
        UnsupportedError: every node that a rule rejects, at once.
    """
    problems = list[tuple[str, str]]()
    for index, node in enumerate(clone.graph.node):
        step = step_of(node)
        if step is None:
            done.append(node)
            continue
        try:
            done += rewritten(step, partial(rule, step))
        except Rejected as reason:
            problems.append((label_of(node, index), str(reason)))
        clone.graph.initializer.extend(step.initializers)
    if problems:
        raise UnsupportedError(problems, where=where)
    count = len(clone.graph.node)
    clone.graph.node.extend(done)  # copies, also of old ones: these go last
    del clone.graph.node[:count]


def names_of(model: Any) -> set[str]:
    """Of all values of the main graph."""
    graph = model.graph
    nodes = {name for node in graph.node for name in (*node.input, *node.output)}
    return nodes | {value.name for value in (*graph.input, *graph.output, *graph.initializer)}


def label_of(node: Any, index: int) -> str:
    """What error messages call a node."""
    return f"{node.op_type} {node.name or (node.output[0] if node.output else '')!r} (node {index})"
