"""com.microsoft's DynamicQuantizeLSTM (onnxruntime, docs/ContribOperators.md) as a Loop for each direction.

All steps of the input are quantised together, by one range; the state before each step by its own. Both as
DynamicQuantizeLinear does. Sums of integers become floats, and everything behind them is an LSTM in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_recurrent_definitions import Apply, activations
from tinycompile.frontend.tflite_scope import Rejected

_X, _W, _R, _BIAS, _LENGTHS, _STATE, _CELL, _PEEPHOLES, _W_SCALE, _W_ZERO, _R_SCALE, _R_ZERO = range(12)
_INPUT, _OUTPUT, _FORGET, _NEW = range(4)
"""The gates, in the order of the weights' columns."""


def dynamic_lstm(step: Expansion, inputs: Sequence[str]) -> list[Any]:
    """DynamicQuantizeLSTM(X (steps, batch, size), W (directions, size, 4 * hidden), R (directions, hidden, 4 * hidden),
    B, sequence_lens, initial_h, initial_c, P, W_scale, W_zero_point, R_scale, R_zero_point). Raises Rejected.
    """
    return _Layer(step, [*inputs, *[""] * (12 - len(inputs))]).written()


class _Layer:
    """A node; `nodes` is where those of its new form go: into the model, or a loop's body."""

    def __init__(self, step: Expansion, inputs: Sequence[str]) -> None:
        self.step, self.inputs, self.nodes = step, inputs, list[Any]()
        name = step.take("direction", b"forward").decode()
        known = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
        if name not in known:
            raise Rejected(f"the attribute direction = {name!r}")
        self.directions = known[name]
        """Of each whether it is backward."""
        self._check()
        self.hidden = int(step.take("hidden_size", 0)) or self._size(_R, 1)
        self.clip, self.coupled = float(step.take("clip", 0.0)), bool(step.take("input_forget", 0))
        defaults = ("Sigmoid", "Tanh", "Tanh")
        self.functions = activations(step, self, self.number, len(self.directions), defaults)
        for left in step.attributes:
            raise Rejected(f"the attribute {left} is not supported")

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Another node; the name of its result."""
        name = self.step.name(kind.lower())
        self.nodes.append(self.step.make(kind, list(inputs), name, **attributes))
        return name

    def _check(self) -> None:
        """Raises Rejected."""
        if self.inputs[_LENGTHS]:
            raise Rejected("sequences of different lengths (the operand sequence_lens) are not supported")
        for operand in (_W_SCALE, _W_ZERO, _R_SCALE, _R_ZERO):
            if not self.inputs[operand]:
                raise Rejected(f"operand {operand}, a scale or a zero point, is missing")
        if self._size(_X, 1) > 1:
            raise Rejected(
                f"a batch of {self._size(_X, 1)}, supported is a batch of 1: how many sequences have a common range "
                "in onnxruntime depends on its number of threads"
            )
        for scale, zero in ((_W_SCALE, _W_ZERO), (_R_SCALE, _R_ZERO)):
            ranks = self.step.rank(self.inputs[scale]), self.step.rank(self.inputs[zero])
            if len(self.directions) == 2 and ranks == (2, 1):
                raise Rejected(
                    "both directions with a scale for each channel and one zero point: onnxruntime reads the second "
                    "direction's zero point behind the tensor's end; give each channel its zero point"
                )

    def _size(self, operand: int, axis: int) -> int:
        """Of an axis; 0 where it is unknown. Raises Rejected where that can't be."""
        if self.step.rank(self.inputs[operand]) != 3:
            raise Rejected(f"operand {operand} has {self.step.rank(self.inputs[operand])} dimensions, wanted are 3")
        return int(self.step.typed(self.inputs[operand]).shape.dim[axis].dim_value)

    def number(self, stem: str, value: Any) -> str:
        return self.step.constant(stem, value, np.float32)

    def index(self, value: Any) -> str:
        return self.step.constant("index", value, np.int64)

    def of_direction(self, operand: int, direction: int) -> str:
        return self("Gather", self.inputs[operand], self.index(direction), axis=0)

    def quantized(self, x: str) -> list[str]:
        """Integers, their scale and their zero point, by the range of all elements."""
        parts = [self.step.name(stem) for stem in ("quantized", "scale", "zero_point")]
        self.nodes.append(onnx_module().helper.make_node("DynamicQuantizeLinear", [x], parts))
        return parts

    def product(self, x: Sequence[str], operands: Sequence[str]) -> str:
        """Of two matrices of integers, each with its scale and zero point: floats."""
        result = self.step.name("product")
        self.nodes += self.step.integer_sum(x, operands, result)
        return result

    def written(self) -> list[Any]:
        """The nodes."""
        rows = self.step.name("only_a_batch_of_1")  # which the file needn't say; then Squeeze does
        self.nodes.append(self.step.make("Squeeze", [self.inputs[_X], self.index([1])], rows))
        integers = self.quantized(rows)
        found = [self._direction(integers, number, back) for number, back in enumerate(self.directions)]
        for output, name in enumerate(self.step.node.output):
            if name:
                shape = self.index([1, 1, self.hidden])
                if output == 0:  # onnx's inference of shapes doesn't know how many rows a loop has
                    steps = self("Gather", self("Shape", rows), self.index([0]))
                    shape = self("Concat", steps, shape, axis=0)
                parts = [self("Reshape", results[output], shape) for results in found]
                if output == 0:
                    both = zip(parts, self.directions, strict=True)
                    parts = [self._turned(part) if back else part for part, back in both]
                self.nodes.append(self.step.make("Concat", parts, name, axis=1 if output == 0 else 0))
        return self.nodes

    def _direction(self, x: Sequence[str], number: int, back: bool) -> tuple[str, str, str]:
        """(every step's h in the order of computation, (steps, hidden); the last h and c, (1, hidden) each)."""
        helper = onnx_module().helper
        rows = self.product(x, [self.of_direction(o, number) for o in (_W, _W_SCALE, _W_ZERO)])
        first = [self._state(operand, number) for operand in (_STATE, _CELL)]
        steps = self("Gather", self("Shape", rows), self.index(0))
        if back:
            rows = self._turned(rows)
        body = self._body(rows, number)
        results = [self.step.name(stem) for stem in ("last_h", "last_c", "rows")]
        going = self.step.constant("going", True, np.bool_)
        self.nodes.append(helper.make_node("Loop", [steps, going, *first], results, body=body))
        return results[2], results[0], results[1]

    def _body(self, rows: str, number: int) -> Any:
        """The graph of a step: (position, going, h, c) to (going, h, c, a row of all h)."""
        recurrent = [self.of_direction(o, number) for o in (_R, _R_SCALE, _R_ZERO)]
        bias, looks = self._bias(number), self._peepholes(number)
        position, going, h, c = (self.step.name(stem) for stem in ("position", "going", "h", "c"))
        around, self.nodes = self.nodes, list[Any]()
        row = self("Gather", rows, self("Reshape", position, self.index([1])), axis=0)
        sums = self("Add", row, self.product(self.quantized(h), recurrent))
        sums = self("Reshape", sums, self.index([4, self.hidden]))
        if bias and not looks:
            sums, bias = self("Add", sums, bias), ""
        h_after, c_after = self._cell(sums, bias, looks, c, self.functions[number])
        on, each = self("Identity", going), self("Reshape", h_after, self.index([self.hidden]))
        inner, self.nodes = self.nodes, around
        flag, state = self._declared(going, np.bool_), [self._declared(n, np.float32, 1, self.hidden) for n in (h, c)]
        after = [self._declared(n, np.float32, 1, self.hidden) for n in (h_after, c_after)]
        results = [self._declared(on, np.bool_), *after, self._declared(each, np.float32, self.hidden)]
        formal = [self._declared(position, np.int64), flag, *state]
        return onnx_module().helper.make_graph(inner, "step", formal, results)

    def _declared(self, name: str, dtype: type[np.generic], *shape: int) -> Any:
        helper = onnx_module().helper
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    def _turned(self, rows: str) -> str:
        """The last step first."""
        ends = [self.index([value]) for value in (-1, -(2**31), 0, -1)]
        return self("Slice", rows, *ends)

    def _state(self, operand: int, direction: int) -> str:
        """(1, hidden) before the first step."""
        if not self.inputs[operand]:
            return self.number("zeros", np.zeros((1, self.hidden)))
        return self.of_direction(operand, direction)

    def _bias(self, direction: int) -> str:
        """(4, hidden); "" without one."""
        if not self.inputs[_BIAS]:
            return ""
        both = self("Reshape", self.of_direction(_BIAS, direction), self.index([2, 4, self.hidden]))
        return self("Add", *(self("Gather", both, self.index(half), axis=0) for half in (0, 1)))

    def _peepholes(self, direction: int) -> str:
        """(3, hidden), of the gates i, o, f; "" without them."""
        if not self.inputs[_PEEPHOLES]:
            return ""
        return self("Reshape", self.of_direction(_PEEPHOLES, direction), self.index([3, self.hidden]))

    def _cell(self, sums: str, bias: str, looks: str, c: str, functions: Sequence[Apply]) -> tuple[str, str]:
        """(h, c) after the step, in onnxruntime's order of sums: products, then peepholes, then the bias."""
        f, g, behind = functions

        def of_gate(values: str, number: int) -> str:
            return self("Gather", values, self.index([number]), axis=0)

        def gate(apply: Apply, number: int, cell: str) -> str:
            own = of_gate(sums, number)
            if looks and number != _NEW:
                own = self("Add", own, self("Mul", of_gate(looks, number), cell))
            if bias:
                own = self("Add", own, of_gate(bias, number))
            if self.clip:
                own = self("Min", own, self.number("clip", self.clip))
                own = self("Max", own, self.number("clip", -self.clip))
            return apply(own)

        entering, new = gate(f, _INPUT, c), gate(g, _NEW, c)
        kept = self("Sub", self.number("one", 1), entering) if self.coupled else gate(f, _FORGET, c)
        after = self("Add", self("Mul", kept, c), self("Mul", entering, new))
        return self("Mul", gate(f, _OUTPUT, after), behind(after)), after
