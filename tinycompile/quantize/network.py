"""A float graph in steps, each of which can be run again with other weights or rounded operands.

What quantisation costs is measured at the network's outputs. A change of one tensor only changes what is behind it, and
changes of weights and scales need no other session: each step has one, to which weights are given as operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.ir import Array
from tinycompile.quantize.execution import Sample, for_batches, run_all, session_of, stacked, value_info
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.qdq import (
    FLOAT,
    linear_layers,
    not_floats,
    quantized_operand,
    quantized_values,
)
from tinycompile.quantize.ranges import rounded_to

Grid = tuple[float | Array, int | Array]
"""(scale, zero point) of a value, or arrays with those of each sample."""


@dataclass(frozen=True, eq=False)
class Step:
    """From values to the next one that is rounded, or that a linear layer reads or makes.

    Attributes:
        result: the value it computes.
        operands: the values it reads.
        constants: by the name under which the session takes them: (node's result, index of the operand).
        layer: the linear layer, if it is one.
    """

    result: str
    operands: tuple[str, ...]
    constants: Mapping[str, tuple[str, int]]
    layer: Any | None
    session: Any


@dataclass(eq=False)
class Setting:
    """How a network is quantised.

    Attributes:
        activations: (scale, zero point) of the values that are rounded.
        constants: float32 by (node's result, index of the operand): rounded weights, corrected biases; others are as in
            the graph.
        wide: those of the values that have 16 bits.
    """

    activations: Mapping[str, Grid]
    constants: Mapping[tuple[str, int], Array] = field(default_factory=dict[tuple[str, int], Array])
    wide: frozenset[str] = frozenset()

    def with_grid(self, name: str, grid: Grid) -> Setting:
        return replace(self, activations={**self.activations, name: grid})


class Network:
    """The steps of a graph, with samples and the values that the float network has for them."""

    def __init__(self, graph: FloatGraph, samples: Sequence[Sample]) -> None:
        self.graph, self.count = graph, len(samples)
        self.inputs = stacked(samples)
        self.producers = graph.producers()
        self.rounded = frozenset(quantized_values(graph))
        self.step_of = {step.result: step for step in self._steps()}
        self.batched = True
        self.batched = self._takes_batches(samples)
        self.floats = self.run(Setting({}))
        """What each value is without any rounding."""

    @property
    def steps(self) -> Iterable[Step]:
        return self.step_of.values()

    def on(self, samples: Sequence[Sample]) -> Network:
        """The same with other samples."""
        other = copy(self)
        other.count, other.inputs = len(samples), stacked(samples)
        other.floats = other.run(Setting({}))
        return other

    def _takes_batches(self, samples: Sequence[Sample]) -> bool:
        """Whether two samples at once give what they give one by one."""
        if any(len(value) != self.count for value in self.inputs.values()):
            return False
        few, found = samples[:2], list[dict[str, Array]]()
        inputs, count = self.inputs, self.count
        self.inputs, self.count = stacked(few), len(few)
        try:
            for batched in (True, False):
                self.batched = batched
                found.append(self.run(Setting({})))
        except Exception as error:  # onnxruntime's own have no common class
            if not found and "onnxruntime" not in type(error).__module__:
                raise
            return False
        finally:
            self.inputs, self.count = inputs, count
        together, apart = found
        return all(_alike(together[name], apart[name]) for name in self.graph.outputs)

    def _steps(self) -> Iterable[Step]:
        graph, others = self.graph, not_floats(self.graph)
        layers = {node.output[0]: node for node in linear_layers(graph)}
        ends = {*self.rounded, *layers, *graph.outputs, *(node.input[0] for node in layers.values())} - others
        ends |= set(graph.outputs)
        producers, known = graph.producers(), {*graph.inputs, *graph.constants}
        for node in graph.nodes:
            for name in node.output:
                if name in ends:
                    yield self._step(name, self._between(name, ends, producers, known), layers.get(name))

    @staticmethod
    def _between(name: str, ends: set[str], producers: Mapping[str, Any], known: set[str]) -> list[Any]:
        """The nodes that compute a value from others of `ends`, in order."""
        nodes, seen = list[Any](), set[int]()

        def visit(value: str) -> None:
            node = producers[value]
            if id(node) in seen:
                return
            seen.add(id(node))
            for operand in node.input:
                if operand and operand not in ends and operand not in known:
                    visit(operand)
            nodes.append(node)

        visit(name)
        return nodes

    def _step(self, result: str, nodes: Sequence[Any], layer: Any | None) -> Step:
        graph, helper = self.graph, onnx_module().helper
        nodes, shapes = for_batches(nodes, graph.constants, graph.shapes)
        made = {name for node in nodes for name in node.output}
        operands, constants, types = dict[str, None](), dict[str, tuple[str, int]](), list[Any]()
        kept, changed = dict(shapes), list[Any]()
        for node in nodes:
            node = copied(node)
            of_layer = layer is not None and node.output[0] == result
            for index, name in enumerate(node.input):
                if name in graph.constants:
                    value = graph.constants[name]
                    if of_layer or quantized_operand(node, index, value):
                        node.input[index] = f"{node.output[0]}:{index}:"
                        constants[node.input[index]] = (node.output[0], index)
                        types.append(value_info(node.input[index], FLOAT))
                    else:
                        kept[name] = value
                elif name and name not in made and name not in shapes:
                    operands[name] = None
            changed.append(node)
        elements = {v.name: v.type.tensor_type.elem_type for v in graph.proto.graph.input}
        types += [value_info(name, elements.get(name, FLOAT)) for name in operands]
        onnx = onnx_module()
        initializers = [onnx.numpy_helper.from_array(np.asarray(v, order="C"), name) for name, v in kept.items()]
        proto = helper.make_graph(changed, "step", types, [onnx.ValueInfoProto(name=result)], initializers)
        model = helper.make_model(proto, opset_imports=graph.proto.opset_import, ir_version=graph.proto.ir_version)
        model.functions.extend(graph.proto.functions)
        return Step(result, tuple(operands), constants, layer, session_of(model))

    def constant(self, key: tuple[str, int]) -> Array:
        """Of the float graph."""
        node = self.producers[key[0]]
        return self.graph.constants[node.input[key[1]]]

    def compute(self, step: Step, values: Mapping[str, Array], setting: Setting) -> Array:
        """A step's result before it is rounded."""
        feeds = {name: values[name] for name in step.operands}
        for name, key in step.constants.items():
            given = setting.constants.get(key)
            feeds[name] = self.constant(key) if given is None else given
        return run_all(step.session, [step.result], feeds, self.count, self.batched)[0]

    def run(
        self, setting: Setting, changed: Iterable[str] | None = None, start: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Every value, rounded as the setting says.

        Args:
            changed: values of `start` that aren't what they were; only what depends on them is computed.
            start: what all values were.
        """
        values = dict(start or {})
        touched = set(changed) if changed is not None else None
        if touched is None:
            for name, value in self.inputs.items():
                values[name] = self.rounding(name, value, setting)
        for step in self.steps:
            if touched is not None and not touched.intersection(step.operands):
                continue
            values[step.result] = self.rounding(step.result, self.compute(step, values, setting), setting)
            if touched is not None:
                touched.add(step.result)
        return values

    def before(self, name: str, values: Mapping[str, Array], setting: Setting) -> Array:
        """A value before it is rounded."""
        return self.inputs[name] if name in self.inputs else self.compute(self.step_of[name], values, setting)

    @staticmethod
    def rounding(name: str, value: Array, setting: Setting) -> Array:
        grid = setting.activations.get(name)
        return value if grid is None else rounded_to(value, *grid, 16 if name in setting.wide else 8)

    def noise(self, values: Mapping[str, Array]) -> float:
        """Of all outputs, the largest part that the error's power is of the signal's."""
        return max(
            (noise_of(self.floats[n], values[n]) for n in self.graph.outputs if self.floats[n].dtype.kind == "f"),
            default=0.0,
        )


def _alike(a: Array, b: Array) -> bool:
    """Whether all elements are the same but for the order of sums; values that aren't finite are alike nothing."""
    near = 1e-5 * float(np.abs(b).max(initial=0))
    return a.size == b.size and bool(np.isfinite(near)) and np.allclose(a.ravel(), b.ravel(), rtol=1e-3, atol=near)


def noise_of(reference: Array, value: Array) -> float:
    """Power of the error as a part of the signal's."""
    unit = np.float32(max(float(np.abs(reference).max(initial=0)), 1e-37))
    signal, error = reference / unit, (reference - value) / unit
    noise = float(np.vdot(error, error)) / max(float(np.vdot(signal, signal)), 1e-300)
    return noise if noise == noise else float("inf")  # NaN would be neither more nor less than others


def decibels(noise: float) -> float:
    return float("inf") if noise <= 0 else -10 * float(np.log10(noise))
