"""The graph of a training step: an inference, the loss, the backward pass and the parameters' updates.

Label, learning rate and loss are states: the caller writes the first two and reads the last one; inputs and outputs are
the model's own. A prediction executes the nodes up to `BeginBackward`, which no node of training comes before except
those that keep something.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from tinycompile.choices import Loss
from tinycompile.dtypes import INT8, INT16, INT32, DType
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.ir import Array, Graph, Node, State, TensorType, free_name, verify
from tinycompile.kernels.cover import part_nodes
from tinycompile.numerics.block_floating import (
    BIAS_LIMIT,
    DEFAULT_RATE,
    MASTER_FRACTION_BITS,
    bias_reach,
    factor,
    multiplier,
)
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._training.gradient import LEARNING_RATE, Gradient
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.losses import BeginBackward, CrossEntropyGradient, SquaredErrorGradient
from tinycompile.ops._training.masks import ClampMask, MaskedGradient
from tinycompile.ops._training.parameters import GradientDescent, RoundedWeights
from tinycompile.ops._training.rule import NoGradientError, Parameter
from tinycompile.ops._training.scaled_gradient import SpreadGradient
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.ops._training.weight_gradient import WeightGradient
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.identity import Identity
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax
from tinycompile.passes.channel_facts import Scheme, Trained
from tinycompile.training.backward import Backward, Place, dependent, states_of
from tinycompile.training.scheme import copies_of_channels, evenly, has_weights


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """A training step.

    Attributes:
        graph: of the step; its states are the trained parameters and those below.
        learning_rate, label, loss: names of states. The label is a class' number, int32 (1,), or what the output should
            be, of its own type and shape.
    """

    graph: Graph
    learning_rate: str
    label: str
    loss: str

    @property
    def begin(self) -> int:
        """Which node is `BeginBackward`."""
        return next(i for i, node in enumerate(self.graph.nodes) if isinstance(node.op, BeginBackward))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The states that are trained."""
        return tuple(self.accumulators) or tuple(state.name for state in self._own_states())

    @property
    def accumulators(self) -> Mapping[str, str]:
        """By parameter, where a step only accumulates (`training.accumulation`) and parameters stay; else none."""
        states = self._own_states()
        kept = [state.name for state in states if state.next == state.name]
        changed = [state.name for state in states if state.next != state.name]
        return dict(zip(kept, changed, strict=True)) if kept else {}

    def _own_states(self) -> list[State]:
        others = self.learning_rate, self.label, self.loss
        return [state for state in self.graph.states if state.name not in others]

    @property
    def classes(self) -> int | None:
        """Of how many the label is the number of one; None where it is what the output should be."""
        head = self.graph.consumers()[self.label][0]
        return self.graph.types[head.inputs[0]].elements if isinstance(head.op, CrossEntropyGradient) else None

    def prediction(self) -> Graph:
        """What a prediction executes; its states stay."""
        graph, begin = self.graph, self.begin
        states = tuple(replace(state, next=state.name) for state in graph.states)
        return _pruned(replace(graph, nodes=graph.nodes[:begin], states=states))


def training_of(graph: Graph) -> TrainingStep | None:
    """A training step by its graph, also after passes and planning; None where it is no such graph."""
    heads = [node for node in graph.nodes if isinstance(node.op, CrossEntropyGradient | SquaredErrorGradient)]
    if not heads:
        return None
    (head,) = heads
    parts = (part for node in graph.nodes for part in part_nodes(node))  # a gradient's kernel may apply it, too
    descent = next(part for part in parts if isinstance(part.op, GradientDescent))
    copies = {node.inputs[0]: node.outputs[0] for node in graph.nodes if isinstance(node.op, Identity)}
    losses = {head.outputs[2], copies.get(head.outputs[2])}
    (loss,) = (state.name for state in graph.states if state.next in losses)
    return TrainingStep(graph, descent.inputs[3], head.inputs[1], loss)


def first_of_training(graph: Graph) -> str | None:
    """The node that ends a prediction; None where a graph is no training step."""
    return next((node.name for node in graph.nodes if isinstance(node.op, BeginBackward)), None)


def training_step(
    graph: Graph, scheme: Scheme, loss: Loss = "cross_entropy", rate: float = DEFAULT_RATE
) -> TrainingStep:
    """The training step of an int8 model.

    Args:
        graph: after the passes, without states of its own.
        scheme: what is trained (`read_scheme`).
        rate: the learning rate that it begins with, of plain gradient descent on one sample.

    Raises:
        UsageError: nothing is trained, or the loss isn't of this output.
        UnsupportedError: operators between a trained layer and the loss that have no gradient rule, or layers that
            can't be trained.
    """
    if not scheme:
        raise UsageError("nothing is to be trained", where=graph.name)
    if graph.states:
        raise UsageError("a model with states can't be trained", where=graph.name, why="its gradient goes back in time")
    source, beta = _source(graph, loss)
    forward, places, initial = _with_parameters(graph, scheme)
    rate_state, label, found = (free_name(n, forward.types) for n in ("learning_rate", "label", "loss"))
    label_type = _label_type(forward, loss)
    types = {**forward.types, rate_state: LEARNING_RATE, label: label_type, found: TensorType((1,), INT32)}
    backward = Backward(replace(forward, types=types), places, rate_state)
    if source not in dependent(forward, places):
        raise UsageError("the loss doesn't depend on what is trained", where=graph.name)
    (begin,) = backward.emit(BeginBackward(), source, *graph.outputs, meaning="begin_backward")
    backward.types[begin] = types[source]
    head = CrossEntropyGradient(beta) if loss == "cross_entropy" else SquaredErrorGradient()
    values, exponent, computed = backward.emit(head, begin, label, meaning="loss_gradient")
    if beta != 1.0:
        shape = types[source].shape
        spread = SpreadGradient(shape, shape, multiplier(beta))
        values, exponent = backward.emit(spread, values, exponent, meaning="rescaled")
    backward.add(source, Gradient(values, exponent))
    _propagate(forward, backward, graph.name)
    states = (
        *states_of(backward, initial),
        State(rate_state, np.array(factor(rate), np.int32), rate_state),
        State(label, np.zeros(label_type.shape, label_type.dtype.carrier), label),
        State(found, np.zeros(1, np.int32), computed),
    )
    known = {**forward.constants, **initial}
    nodes = (*map(_as_trained, _with_kept(forward, backward), repeat(places), repeat(known)), *backward.nodes)
    step = replace(forward, nodes=nodes, types=backward.types, constants=backward.constants, states=states)
    step = _pruned(_masks_of_kept(step))
    verify(step, "training_step")
    _check_widths(step)
    return TrainingStep(step, rate_state, label, found)


def _source(graph: Graph, loss: Loss) -> tuple[str, float]:
    """The int8 value whose gradient the loss begins with: logits before a softmax, or the output; and what softmax
    multiplies logits with.
    """
    name, producers, beta = graph.outputs[0], graph.producers(), 1.0
    passed = (Dequantize, Softmax, Reshape) if loss == "cross_entropy" else (Dequantize,)
    while (node := producers.get(name)) is not None and isinstance(node.op, passed):
        before = node.inputs[0]
        if isinstance(node.op, Reshape) and not isinstance(getattr(producers.get(before), "op", None), passed):
            break
        beta = node.op.beta if isinstance(node.op, Softmax) else beta
        name = before
    if len(graph.outputs) != 1 or graph.types[name].dtype != INT8:
        what = f"{len(graph.outputs)} outputs" if len(graph.outputs) != 1 else f"an output of {graph.types[name].dtype}"
        raise UsageError("the loss can't be taken of this model", where=graph.name, why=f"it has {what}")
    t = graph.types[name]
    if loss == "cross_entropy" and t.elements != t.shape[-1]:
        why = f"its scores are {t}, those of one sample for each class are needed"
        raise UsageError(
            "the loss can't be taken of this model", where=graph.name, why=why, hint="--loss squared_error"
        )
    if loss == "cross_entropy" and t.elements < 2:
        why = "its output is a single score: softmax of it is always 1, nothing would be learned"
        raise UsageError(
            "the loss can't be taken of this model", where=graph.name, why=why, hint="--loss squared_error, --classes 2"
        )
    return name, beta


def _label_type(graph: Graph, loss: Loss) -> TensorType:
    if loss == "cross_entropy":
        return TensorType((1,), INT32)
    return graph.types[_source(graph, loss)[0]]


def _with_parameters(graph: Graph, scheme: Scheme) -> tuple[Graph, dict[str, Place], dict[str, Array]]:
    """The forward pass on states in the place of what is trained, where these are, and what they begin with."""
    types, places, initial, nodes = dict(graph.types), dict[str, Place](), dict[str, Array](), list[Node]()
    problems = list[tuple[str, str]]()
    names = {node.name for node in graph.nodes}
    constants = dict(graph.constants)
    for node in graph.nodes:
        trained = scheme.get(node.name)
        reason = None if trained is None else _not_trainable(graph, node, trained)
        if reason is not None:
            problems.append((f"{node.op.title} {node.name!r}", reason))
        elif trained is not None:
            made = _Parameters(node, types, constants, places, initial, copies_of_channels(graph, node))
            if trained.weights != 0:
                rounding = made.weights(trained.weights, names)
                names.add(rounding.name)
                nodes.append(rounding)
            if trained.bias:
                made.bias()
            node = replace(node, inputs=tuple(made.inputs))
        nodes.append(node)
    if problems:
        raise UnsupportedError(problems, where=graph.name, hint="another --train")
    return replace(graph, nodes=tuple(nodes), types=types, constants=constants), places, initial


class _Parameters:
    """The trained operands of a layer."""

    def __init__(
        self,
        node: Node,
        types: dict[str, TensorType],
        constants: dict[str, Array],
        places: dict[str, Place],
        initial: dict[str, Array],
        copies: int,
    ) -> None:
        self.inputs, self._node, self._copies = list(node.inputs), node, copies
        self._types, self._constants, self._places, self._initial = types, constants, places, initial

    def weights(self, channels: int | None, names: set[str]) -> Node:
        """Master weights, of all or of the first channels, and the node that rounds them."""
        source = self.inputs[1]
        values, t = evenly(self._constants[source], self._copies), self._types[source]
        own = values if channels is None else values[..., :channels]
        state = self._state("weights", own.astype(np.int16) << MASTER_FRACTION_BITS, INT16)
        rest = ()
        if channels is not None:
            rest = (self._name("other_weights", TensorType(values[..., channels:].shape, INT8, None)),)
            self._constants[rest[0]] = np.ascontiguousarray(values[..., channels:])
        rounded = self.inputs[1] = self._name("rounded_weights", t)
        self._places[rounded] = Place(Parameter(state, channels, self._copies), RoundedWeights(), (state, *rest))
        return Node(free_name(rounded, names), RoundedWeights(), (state, *rest), (rounded,))

    def bias(self) -> None:
        """A layer without one gets zeros."""
        op, shape = self._node.op, self._types[self._node.inputs[1]].shape
        axis = op.weight_axis if isinstance(op, Convolution) else 0
        own = self.inputs[2:] or [""]
        values = self._constants[own[0]] if own[0] else np.zeros(shape[axis], np.int32)
        state = self._state("bias", values, INT32)
        self.inputs[2:] = [state]
        self._places[state] = Place(Parameter(state))

    def _state(self, meaning: str, values: Array, dtype: DType) -> str:
        name = self._name(meaning, TensorType(values.shape, dtype))
        self._initial[name] = np.ascontiguousarray(values)
        return name

    def _name(self, meaning: str, t: TensorType) -> str:
        name = free_name(f"{self._node.name}/{meaning}", self._types)
        self._types[name] = t
        return name


def _not_trainable(graph: Graph, node: Node, trained: Trained) -> str | None:
    """Why a layer can't be trained; None if it can."""
    if not has_weights(node):
        return "it has no weights"
    own = node.inputs[1]
    weights = graph.constants[own]
    if graph.types[node.inputs[0]].dtype != INT8 or weights.dtype != np.int8:
        return "only layers of int8 inputs and int8 weights are trained"
    weights = evenly(weights, copies_of_channels(graph, node))
    if weights.size and int(weights.min()) == -128 and trained.weights != 0:
        return "a weight is -128, trained ones are within [-127, 127]"
    if trained.weights and (reason := _part_not_trainable(graph, node, trained.weights)) is not None:
        return reason
    if len(node.inputs) > 2 and trained.bias:
        bias = graph.constants[node.inputs[2]]
        if np.abs(bias.astype(np.int64)).max(initial=0) > BIAS_LIMIT:
            return "a bias is above 2^30, so that it has no room to change"
    shared = [n for n in graph.nodes if n is not node and own in n.inputs]
    if shared:
        return f"it shares its weights with {shared[0].name!r}"
    return None


def _part_not_trainable(graph: Graph, node: Node, channels: int) -> str | None:
    """Why the first channels of a layer's weights can't be trained alone; None if they can."""
    inputs, depth = graph.types[node.inputs[0]].shape[-1], graph.types[node.inputs[1]].shape[-1]
    if isinstance(node.op, DepthwiseConv2D):
        multiplier = depth // inputs
        return (
            f"{channels} channels are no multiple of the {multiplier} of each input" if channels % multiplier else None
        )
    return None if inputs == depth else "a part of the channels of a grouped convolution can't be trained"


def _check_widths(step: Graph) -> None:
    """Raises UnsupportedError where a gradient is a sum of too many products for 32 bits."""
    problems = list[tuple[str, str]]()
    for node in step.nodes:
        if isinstance(node.op, InputGradient | WeightGradient):
            try:
                _ = node.op.bits
            except ValueError as error:
                problems.append((f"{node.op.title} {node.name!r}", str(error)))
    if problems:
        raise UnsupportedError(problems, where=step.name, hint="--train with biases alone, or layers behind it")


def _propagate(forward: Graph, backward: Backward, where: str) -> None:
    problems = list[tuple[str, str]]()
    last = ""
    for node in reversed(forward.nodes):
        try:
            backward.propagate(node)
        except (NoGradientError, ValueError) as error:
            problems.append((f"{node.op.title} {node.name!r}", str(error)))
            last = last or node.name
    if problems:
        raise UnsupportedError(
            problems, where=where, hint=f"--train with layers behind {last!r}: no others can be trained"
        )


def _with_kept(forward: Graph, backward: Backward) -> list[Node]:
    """The forward pass with what it keeps for the backward pass."""
    nodes = list(backward.after.get("", ()))
    for node in forward.nodes:
        nodes.append(node)
        nodes += [kept for value in node.outputs for kept in backward.after.get(value, ())]
    return nodes


def _as_trained(node: Node, places: Collection[str], values: Mapping[str, Array]) -> Node:
    """A layer with trained operands as such: kernels for constant weights aren't for it.

    Args:
        values: that biases begin with, or keep.
    """
    if isinstance(node.op, Convolution | FullyConnected) and not set(places).isdisjoint(node.inputs):
        limits = [bias_reach(values[name]) for name in node.inputs[2:]]
        return replace(node, op=TrainedLayer(node.op, *limits))
    return node


def _masks_of_kept(step: Graph) -> Graph:
    """No bits are made of outputs that the backward pass reads as a whole: they are all there."""
    begin = next(i for i, node in enumerate(step.nodes) if isinstance(node.op, BeginBackward))
    kept = {name for node in step.nodes[begin + 1 :] for name in node.inputs}
    bits: dict[str, tuple[str, tuple[int, int]]] = {
        node.outputs[0]: (node.inputs[0], node.op.clamp)
        for node in step.nodes
        if isinstance(node.op, ClampMask) and node.inputs[0] in kept
    }
    nodes = list[Node]()
    for node in step.nodes:
        if isinstance(node.op, MaskedGradient) and (mask := node.inputs[-1]) in bits:
            source, clamp = bits[mask]
            node = replace(node, op=MaskedGradient(clamp), inputs=(*node.inputs[:-1], source))
        if node.outputs[0] not in bits:
            nodes.append(node)
    return replace(step, nodes=tuple(nodes))


def _pruned(step: Graph) -> Graph:
    """Without what nobody reads; states stay."""
    live, kept = set(step.results), list[Node]()
    for node in reversed(step.nodes):
        if live.intersection(node.outputs):
            kept.append(node)
            live.update(node.inputs)
    named = {*step.results, *step.given, *(n for node in kept for n in (*node.inputs, *node.outputs))}
    return replace(
        step,
        nodes=tuple(reversed(kept)),
        types={name: t for name, t in step.types.items() if name in named},
        constants={name: c for name, c in step.constants.items() if name in named},
        sources={name: s for name, s in step.sources.items() if name in named},
    )
