"""Models of one operator that moves elements, compared with LiteRT's kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.support.tflite_builder import OpSpec, TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph, verify
from tinycompile.passes import optimize

QUANTIZED = ("int8", "uint8", "int16")
TYPES = ("int8", "uint8", "int16", "int32", "int64", "bool", "float32")


def values(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Of a whole type, as far as that matters."""
    if dtype == "bool":
        return rng.random(tuple(shape)) < 0.5
    if dtype == "float32":
        return rng.normal(0, 50, tuple(shape)).astype(np.float32)
    return rng.integers(-128 if dtype != "uint8" else 0, 128, tuple(shape)).astype(dtype)


class MoveModel:
    """A model of one operator; everything has the same scale.

    Attributes:
        inputs: values by tensor.
    """

    def __init__(self, seed: int) -> None:
        self.builder, self.rng = TfliteBuilder(), np.random.default_rng(seed)
        self.inputs: dict[int, np.ndarray] = {}
        self.outputs: list[int] = []

    def tensor(self, shape: Sequence[int], dtype: str) -> int:
        return self.builder.tensor(shape, 0.5 if dtype in QUANTIZED else None, 0, dtype=dtype)

    def input(self, shape: Sequence[int], dtype: str) -> int:
        return self.given(values(self.rng, shape, dtype))

    def given(self, value: np.ndarray) -> int:
        index = self.tensor(value.shape, value.dtype.name)
        self.inputs[index] = value
        return index

    def known(self, value: object, dtype: str = "int32") -> int:
        """A constant."""
        return self.builder.constant(np.array(value, dtype), 0.5 if dtype in QUANTIZED else None)

    def output(self, shape: Sequence[int], dtype: str) -> int:
        self.outputs.append(self.tensor(shape, dtype))
        return self.outputs[-1]

    def op(self, name: str, operands: Sequence[int], version: int = 1, **fields: object) -> OpSpec:
        spec = self.builder.op(name, operands, list(self.outputs), **fields)  # type: ignore[arg-type]
        spec.version = version
        return spec

    def check(self) -> Graph:
        """Results of the imported graph, before and after the passes, are LiteRT's bit for bit."""
        self._beside_int8()
        content = self.builder.build(list(self.inputs), self.outputs)
        graph, expected = import_tflite(content, "m", "m.tflite"), _litert(content, list(self.inputs.values()))
        verify(graph)
        for each in (graph, optimize(graph)):
            found = interpreter.run(each, list(self.inputs.values()))
            for name, value in zip(each.outputs, expected, strict=True):
                assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype)
                np.testing.assert_array_equal(found[name], value)
        return graph

    def _beside_int8(self) -> None:
        """A model of floats alone is refused, whatever it does."""
        x, y = self.builder.tensor((1,), 0.5), self.builder.tensor((1,), 0.25)
        self.builder.op("RELU", [x], [y])
        self.inputs[x] = np.array([3], np.int8)
        self.outputs.append(y)


def _litert(content: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The reference kernels; the default ones where the reference lacks the version."""
    try:
        found = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        found.allocate_tensors()
    except ValueError:
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        found = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
        found.allocate_tensors()
    for detail, value in zip(found.get_input_details(), inputs, strict=True):
        found.set_tensor(detail["index"], value)
    found.invoke()
    return [found.get_tensor(detail["index"]) for detail in found.get_output_details()]
