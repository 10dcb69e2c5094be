"""A node of com.microsoft in ONNX's words: what the rules of onnx_contrib*.py work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_rewrite import Rewriting
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array


class Expansion(Rewriting):
    """Of a node; `typed` gives the tensor type of a value that was computed before it, `opset` is the model's,
    `constants` are its initialisers.
    """

    def __init__(
        self, node: Any, taken: set[str], typed: Callable[[str], Any], opset: int, constants: Mapping[str, Any]
    ) -> None:
        super().__init__(node, taken)
        self.typed, self.opset, self.constants = typed, opset, constants

    def known(self, name: str, what: str) -> Array:
        """The array of an initialiser. Raises Rejected."""
        found = self.constants.get(name)
        if found is None:
            raise Rejected(f"the operand {what} is computed at run time, supported is a constant")
        return onnx_module().numpy_helper.to_array(found)

    def rank(self, name: str) -> int:
        found = self.typed(name)
        if found is None or not found.HasField("shape"):
            raise Rejected(f"the number of dimensions of {name!r} is unknown")
        return len(found.shape.dim)

    def zero_point(self, name: str, like: str) -> str:
        """The zero point, or, if it is left out, a zero of the type of `like`: QuantizeLinear would take uint8."""
        if name:
            return name
        found = self.typed(like)
        if found is None:
            raise Rejected(f"it has no zero point, and the type of {like!r} is unknown")
        return self.constant("zero", 0, onnx_module().helper.tensor_dtype_to_np_dtype(found.elem_type))

    def chain(self, kind: str, groups: Sequence[Sequence[str]], result: Sequence[str], **more: Any) -> list[Any]:
        """The float operator with the attributes that are left, between (tensor, scale, zero point) and the result."""
        names, nodes = list[str](), list[Any]()
        for group in groups:
            names.append(self.name(f"dequantized_{len(names)}"))
            nodes.append(self.make("DequantizeLinear", list(group), names[-1]))
        real = self.name("float")
        node = self.make(kind, names, real, **more)
        node.attribute.extend(self.attributes.values())
        return [*nodes, node, self.quantized(real, result, groups[0][0])]

    def expanded_bias(self, bias: str, scale: str, result: str) -> list[Any]:
        """DequantizeLinear of a bias, of which channels may share the element as well as the scale."""
        sizes, wide = self.name("sizes"), self.name("wide")
        return [
            self.make("Shape", [scale], sizes),
            self.make("Expand", [bias, sizes], wide),
            self.make("DequantizeLinear", [wide, scale], result, axis=-1),
        ]

    def quantized(self, real: str, result: Sequence[str], like: str) -> Any:
        scale, zero_point = (*result, "")[:2]
        return self.make("QuantizeLinear", [real, scale, self.zero_point(zero_point, like)], self.node.output[0])

    def integer_sum(self, a: Sequence[str], b: Sequence[str], result: str) -> list[Any]:
        """The product of two integer matrices, each with its zero point, as floats.

        Args:
            a, b: tensor, scale, zero point.
        """
        scale, total, real = self.name("scale"), self.name("sum"), self.name("real")
        return [
            self.make("Mul", [a[1], b[1]], scale),
            self.make("MatMulInteger", [a[0], b[0], a[2], b[2]], total),
            self.make("Cast", [total], real, to=1),
            self.make("Mul", [real, scale], result),
        ]
