"""What is trained: `--train "last:2, biases"`, read against the layers of a model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Node
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.reshape import Reshape
from tinycompile.passes.channel_facts import Scheme, Trained

FORMS = (
    "all, last:K, head, biases, biases:K, a LAYER's name, LAYER:bias, LAYER:0.25 (of its input channels), lite:K, "
    "lite:LAYER"
)

WORDS = ("all", "last", "biases", "head", "lite", "seed", "auto")
"""That mean something else than a part of a layer's name."""

SHOWN = 24
"""Layers that a message names."""

MODULE = "/lite_residual/"
"""In the names of the layers of lite residual modules (`lite_residual.py`)."""


def layers_of(graph: Graph) -> list[Node]:
    """The model's own nodes with weights that are constants, in the order of execution."""
    return [node for node in _trainable(graph) if MODULE not in node.name]


def _trainable(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if has_weights(node) and node.inputs[1] in graph.constants]


def beside(text: str, graph: Graph) -> list[str]:
    """The names of the layers beside which a scheme wants lite residual modules, in the order of execution.

    Raises:
        UsageError: of such a part, as `read_scheme`.
    """
    layers, found = layers_of(graph), set[str]()
    for part in (part.strip() for part in text.split(",")):
        if part.startswith("lite:"):
            found.update(node.name for node in _beside(part, layers))
    return [node.name for node in layers if node.name in found]


def _beside(part: str, layers: Sequence[Node]) -> list[Node]:
    _, _, rest = part.partition(":")
    convolutions = [node for node in layers if isinstance(node.op, Convolution)]
    if rest.isascii() and rest.isdigit():
        number = _count(part, rest)
        if not convolutions:
            raise UsageError(f"--train {part!r}: no layer is a convolution")
        return convolutions[-number:]
    return [_layer(rest, part, layers)]


def has_weights(node: Node) -> bool:
    """Whether a node is a layer that may be trained. One whose outputs aren't a straight line of its sums is a function
    in disguise: ONNX's that differ from channel to channel.
    """
    if not isinstance(node.op, Convolution | FullyConnected):
        return False
    return not isinstance(node.op.rule, StepRequant) or node.op.rule.is_straight()


def copies_of_channels(graph: Graph, node: Node) -> int:
    """How often a layer's input has each channel of what it was made of, one beside the other. Weights that are wider
    than 8 bits, those of ONNX with a zero point, come in so many parts.
    """
    producers = graph.producers()
    reshape = producers.get(node.inputs[0])
    joined = None if reshape is None else producers.get(reshape.inputs[0])
    if reshape is None or joined is None or not isinstance(reshape.op, Reshape):
        return 1
    t, count, alike = graph.types[joined.outputs[0]], len(joined.inputs), len(set(joined.inputs)) == 1
    beside = isinstance(joined.op, Concatenation) and (joined.op.axis, t.shape[-1]) == (len(t.shape) - 1, count)
    return count if alike and beside else 1


def evenly(weights: Array, copies: int) -> Array:
    """The same sums of every so many weights of the last axis, with as much room for each of them as there is."""
    sums = weights.astype(np.int64).reshape(*weights.shape[:-1], -1, copies).sum(axis=-1, keepdims=True)
    return ((sums + np.arange(copies)) // copies).reshape(weights.shape).astype(weights.dtype)


def read_scheme(text: str, graph: Graph) -> Scheme:
    """What a scheme means for a model: the union of what its parts say, which are separated by commas. Modules that it
    wants are in the graph (`lite_residual.with_modules`).

    Raises:
        UsageError: a part that isn't one of `FORMS`, a name that no layer or several have, or nothing to train.
    """
    layers = layers_of(graph)
    if not layers:
        raise UsageError("there is nothing to train", where=graph.name, why="no layer has constant weights")
    found = dict[str, Trained]()
    for part in (part.strip() for part in text.split(",")):
        if not part:
            raise UsageError(f"--train {text!r} has an empty part", hint=FORMS)
        for name, trained in _part(part, layers, graph).items():
            found[name] = found.get(name, Trained()).joined(trained)
    kept = {node.name: found[node.name] for node in _trainable(graph) if node.name in found}
    return {name: own for name, own in kept.items() if own != Trained()}


def _part(part: str, layers: Sequence[Node], graph: Graph) -> Scheme:
    whole, biases = Trained(None, bias=True), Trained(bias=True)
    word, _, rest = part.partition(":")
    named = [node for node in layers if node.name == part]
    if named:
        return {part: whole}
    match word, rest:
        case "all", "":
            return {node.name: whole for node in layers}
        case "head", "":
            return {layers[-1].name: whole}
        case "biases", "":
            return {node.name: biases for node in layers}
        case "last" | "biases", _ if rest:
            number = _count(part, rest)
            return {node.name: whole if word == "last" else biases for node in layers[-number:]}
        case "lite", _ if rest:
            stems = tuple(f"{node.name}{MODULE}" for node in _beside(part, layers))
            return {node.name: whole for node in _trainable(graph) if node.name.startswith(stems)}
        case _, "bias":
            return {_layer(word, part, layers).name: biases}
        case _:
            name, _, fraction = part.rpartition(":") if ":" in part else (part, "", "1")
            node = _layer(name, part, layers)
            channels = graph.types[node.inputs[1]].shape[-1]
            copies = copies_of_channels(graph, node)
            wanted = copies * math.ceil(_fraction(part, fraction) * channels / copies)
            return {node.name: replace(whole, weights=None if wanted == channels else wanted)}


def _count(part: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"--train {part!r} doesn't say how many layers", hint=FORMS)
    return int(text)


def _fraction(part: str, text: str) -> Fraction:
    """Exact: 0.07 of 100 channels are 7 of them."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1:
        raise UsageError(f"--train {part!r} needs a fraction above 0, up to 1", hint=FORMS)
    return value


def _layer(name: str, part: str, layers: Sequence[Node]) -> Node:
    """The layer with this name, or the only one whose name has it in it."""
    exact = [node for node in layers if node.name == name]
    found = exact or [node for node in layers if name in node.name]
    if len(found) == 1:
        return found[0]
    names = [node.name for node in layers]
    short = [short_name(node.name, names) for node in (found or layers)]
    what = "no layer" if not found else "more than one layer"
    near = get_close_matches(name, () if found else (*WORDS, *short), 1)
    meant = "".join(f"{each}, if that is meant; " for each in near)
    shown = f"{', '.join(short[:SHOWN])}{f' and {len(short) - SHOWN} more' if len(short) > SHOWN else ''}"
    raise UsageError(f"--train {part!r}: {what} is called that", why=f"there are {shown}", hint=f"{meant}{FORMS}")


def short_name(name: str, names: Sequence[str]) -> str:
    """The first word of a layer's name that no other layer's has in it and that isn't one of `--train` itself, which
    knows the layer by it.
    """
    words = [word for word in re.split(r"[/;]", name) if word and not set(word) & set(",:") and word not in WORDS]
    own = [word for word in words if sum(word in other for other in names) == 1]
    return own[0] if own else name
