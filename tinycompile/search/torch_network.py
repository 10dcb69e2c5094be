"""An ONNX network as a PyTorch module that can be trained, and its weights back in the file.

The nodes are executed as the file says them, so that what is trained is what is quantised and built: no exporter stands
between. PyTorch is an extra: `pip install tinycompile[search]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from itertools import chain
from math import prod
from typing import Any, cast

import numpy as np

from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.search.resolution import matrices, sample_shape

MOMENTUM = 0.1
"""Of a batch normalisation's running statistics, PyTorch's default."""
_LEAST_OPSET = 13
"""From which on a Softmax is along one axis."""
_STATISTICS = (3, 4)
"""Operands of BatchNormalization that aren't trained by gradients."""


def torch_module() -> Any:
    """PyTorch. Raises UsageError where it isn't installed."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(
            "training needs PyTorch", hint="pip install 'tinycompile[search]'; or --trainer with one of your own"
        ) from error
    return cast(Any, torch)


class Trainable:
    """A module's parts: `forward`, `parameters()`, and the file with the weights of the moment.

    Args:
        proto: float, of the operators that `Network` has.

    Raises:
        UnsupportedError: other operators.
    """

    def __init__(self, proto: Any) -> None:
        torch, onnx = torch_module(), onnx_module()
        self.proto, self._torch = proto, torch
        self._nodes = [
            (node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}) for node in proto.graph.node
        ]
        unknown = sorted({node.op_type for node, _ in self._nodes} - _OPERATORS.keys())
        if unknown:
            raise UnsupportedError(
                [(kind, "the trainer knows no such operator") for kind in unknown],
                hint="build the space with `Network`, return a torch module, or use --trainer",
            )
        other = sorted(
            {f"{node.op_type} with {what}" for node, given in self._nodes for what in _others(node, given)}
            | set(_other_numbers(proto))
        )
        if other:
            raise UnsupportedError(
                [(each, "the trainer would compute something else") for each in other],
                hint="build the space with `Network`, return a torch module, or use --trainer",
            )
        self._constants = dict[str, Array]()
        self.weights, self.statistics = dict[str, Any](), dict[str, Any]()
        fixed = {node.input[i] for node, _ in self._nodes if node.op_type == "BatchNormalization" for i in _STATISTICS}
        numbers = {each.name for each in proto.graph.initializer if prod(each.dims) == 1}
        used_as_numbers = {
            name
            for node, _ in self._nodes
            for place, name in enumerate(node.input)
            if (node.op_type in ("Clip", "Reshape") and place) or (node.op_type == "Mul" and name in numbers)
        }
        for each in proto.graph.initializer:
            value = onnx.numpy_helper.to_array(each)
            if each.name in fixed:
                self.statistics[each.name] = torch.tensor(value.copy())
            elif value.dtype.kind == "f" and each.name not in used_as_numbers:
                self.weights[each.name] = torch.tensor(value.copy(), requires_grad=True)
            else:
                self._constants[each.name] = value
        self.training, self.momentum = True, MOMENTUM
        self._averaging = dict[tuple[int, ...], tuple[Any, ...] | None]()

    def parameters(self) -> list[Any]:
        """What gradients change."""
        return list(self.weights.values())

    def __call__(self, x: Any) -> Any:
        """Samples (count, *shape), which are averaged to as many pixels as it has, to logits (count, classes)."""
        x = self._averaged(x)
        values: dict[str, Any] = {
            self.proto.graph.input[0].name: x,
            **self.weights,
            **self.statistics,
            **self._constants,
        }
        momentum = self.momentum if self.training else None
        for node, attributes in self._nodes:
            operands = [values[name] for name in node.input if name]
            values[node.output[0]] = _OPERATORS[node.op_type](self._torch, operands, attributes, momentum)
        return values[self.proto.graph.output[0].name]

    def _averaged(self, x: Any) -> Any:
        size = tuple(x.shape[1:])
        if size not in self._averaging:
            found = matrices(size, sample_shape(self.proto))
            self._averaging[size] = None if found is None else tuple(self._torch.tensor(each.copy()) for each in found)
        both = self._averaging[size]
        return x if both is None else both[0] @ x @ both[1]

    def values(self) -> Iterator[tuple[str, Any]]:
        """Weights and statistics, by name."""
        return chain(self.weights.items(), self.statistics.items())

    def state(self) -> dict[str, Any]:
        """Copies of all weights and statistics."""
        return {name: value.detach().clone() for name, value in self.values()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take weights and statistics that `state` gave."""
        for name, value in self.values():
            value.data.copy_(state[name])

    def model(self) -> Any:
        """The ModelProto with the weights of the moment."""
        onnx = onnx_module()
        found = type(self.proto)()
        found.CopyFrom(self.proto)
        known = self.state()
        for each in found.graph.initializer:
            if each.name in known:
                each.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(known[each.name].numpy()), each.name))
        return found


class TrainableModule:
    """The same of a user's own module, which is exported as ONNX when it is trained.

    Args:
        shape: of a sample.
    """

    def __init__(self, module: Any, shape: Sequence[int]) -> None:
        self._torch, self._module, self._shape = torch_module(), module, tuple(shape)

    @property
    def training(self) -> bool:
        """Whether statistics are those of the batch."""
        return bool(self._module.training)

    @training.setter
    def training(self, value: bool) -> None:
        self._module.train(value)

    def parameters(self) -> list[Any]:
        """What gradients change."""
        return list(self._module.parameters())

    def __call__(self, x: Any) -> Any:
        """Samples to logits."""
        return self._module(x)

    def values(self) -> Iterator[tuple[str, Any]]:
        """Weights and statistics, by name."""
        return iter(self._module.state_dict().items())

    def state(self) -> dict[str, Any]:
        """Copies of all weights and statistics."""
        return {name: value.detach().clone() for name, value in self.values()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take weights and statistics that `state` gave."""
        self._module.load_state_dict(dict(state))

    def model(self) -> Any:
        """The ModelProto with the weights of the moment."""
        return as_proto(self._module, self._shape)


def trainable(network: Any, shape: Sequence[int]) -> Trainable | TrainableModule:
    """What a space's network is for the trainer."""
    return Trainable(network) if hasattr(network, "graph") else TrainableModule(network, shape)


def as_proto(network: Any, shape: Sequence[int], where: str = "the module") -> Any:
    """A ModelProto as it is; of a module what PyTorch's exporter makes of it, for one sample at a time.

    Raises:
        UsageError: it can't be exported.
    """
    if hasattr(network, "graph"):
        return network
    torch, was = torch_module(), network.training
    network.eval()
    x = torch.zeros(1, *shape)
    try:
        with torch.no_grad():
            network(x)  # what fails here is said in fewer words than the exporter has
        with redirect_stdout(StringIO()):
            found = torch.onnx.export(network, (x,), dynamo=True, verbose=False)
    except Exception as error:  # the module's own, and the exporter's, which are many
        raise UsageError(
            f"PyTorch can't export the module: {type(error).__name__}: {str(error).strip()[:400]}",
            where=where,
            why=f"it is given a sample of shape {tuple(x.shape)}",
        ) from error
    network.train(was)
    return found.model_proto


def _others(node: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """What a node has that isn't computed here: attributes with such values, and operands that are left out or more."""
    known = _ATTRIBUTES.get(node.op_type, {})
    for name, value in given.items():
        if name not in known or (known[name] is not None and value != known[name]):
            yield f"{name}={value}"
    needed = _OPERANDS.get(node.op_type)
    if not all(node.input) or (needed is not None and len(node.input) not in needed):
        yield f"{sum(map(bool, node.input))} operands"


def _other_numbers(proto: Any) -> Iterator[str]:
    """What a model computes with numbers, or by rules of an opset, that aren't those here."""
    kinds = onnx_module().TensorProto
    for each in proto.graph.initializer:
        if each.data_type in (kinds.DOUBLE, kinds.FLOAT16, kinds.BFLOAT16):
            yield f"{kinds.DataType.Name(each.data_type).lower()} constant {each.name!r}"
    opset = min((each.version for each in proto.opset_import if each.domain in ("", "ai.onnx")), default=_LEAST_OPSET)
    if opset < _LEAST_OPSET and any(node.op_type == "Softmax" for node in proto.graph.node):
        yield f"Softmax of opset {opset}"


def _conv(torch: Any, operands: Sequence[Any], attributes: Mapping[str, Any], _momentum: float | None) -> Any:
    x, weights = operands[:2]
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    functional = torch.nn.functional
    if (top, left) != (bottom, right):
        x, top, left = functional.pad(x, (left, right, top, bottom)), 0, 0
    bias = operands[2] if len(operands) > 2 else None
    strides = tuple(attributes.get("strides", (1, 1)))
    apart = tuple(attributes.get("dilations", (1, 1)))
    return functional.conv2d(x, weights, bias, strides, (top, left), apart, attributes.get("group", 1))


def _normalized(torch: Any, operands: Sequence[Any], attributes: Mapping[str, Any], momentum: float | None) -> Any:
    x, scale, shift, mean, variance = operands
    epsilon = attributes.get("epsilon", 1e-5)
    statistics = momentum is not None, momentum or 0.0
    return torch.nn.functional.batch_norm(x, mean, variance, scale, shift, *statistics, epsilon)


def _layer_norm(torch: Any, operands: Sequence[Any], attributes: Mapping[str, Any], _momentum: float | None) -> Any:
    x, scale, shift = operands
    return torch.nn.functional.layer_norm(x, scale.shape, scale, shift, attributes.get("epsilon", 1e-5))


def _gemm(_torch: Any, operands: Sequence[Any], attributes: Mapping[str, Any], _momentum: float | None) -> Any:
    x, weights, bias = operands
    return x @ (weights.T if attributes.get("transB") else weights) + bias


def _pooled(torch: Any, operands: Sequence[Any], attributes: Mapping[str, Any], _momentum: float | None) -> Any:
    strides = tuple(attributes.get("strides", (1, 1)))
    return torch.nn.functional.max_pool2d(operands[0], tuple(attributes["kernel_shape"]), strides)


def _number(operand: Any) -> Any:
    """Of a constant with one element; values as they are."""
    return cast(Array, operand).item() if isinstance(operand, np.ndarray) else operand


def _reshaped(_torch: Any, operands: Sequence[Any], _attributes: Mapping[str, Any], _momentum: float | None) -> Any:
    x, shape = operands
    return x.reshape([x.shape[i] if size == 0 else int(size) for i, size in enumerate(shape)])


_OPERATORS: dict[str, Callable[[Any, Sequence[Any], Mapping[str, Any], float | None], Any]] = {
    "Conv": _conv,
    "BatchNormalization": _normalized,
    "LayerNormalization": _layer_norm,
    "Gemm": _gemm,
    "MaxPool": _pooled,
    "Reshape": _reshaped,
    "Relu": lambda torch, operands, _a, _t: torch.relu(operands[0]),
    "Clip": lambda torch, operands, _a, _t: torch.clamp(operands[0], float(operands[1]), float(operands[2])),
    "Add": lambda _torch, operands, _a, _t: operands[0] + operands[1],
    "Mul": lambda _torch, operands, _a, _t: _number(operands[0]) * _number(operands[1]),
    "MatMul": lambda _torch, operands, _a, _t: operands[0] @ operands[1],
    "Softmax": lambda torch, operands, a, _t: torch.softmax(operands[0], a.get("axis", -1)),
    "GlobalAveragePool": lambda _torch, operands, _a, _t: operands[0].mean((2, 3), keepdim=True),
    "ReduceMean": lambda _torch, operands, a, _t: operands[0].mean(
        tuple(a["axes"]), keepdim=bool(a.get("keepdims", 1))
    ),
    "Flatten": lambda _torch, operands, _a, _t: operands[0].flatten(1),
    "Transpose": lambda _torch, operands, a, _t: operands[0].permute(*a["perm"]),
    "Identity": lambda _torch, operands, _a, _t: operands[0],
}
"""What each operator computes, given PyTorch, operands, attributes, and how much a batch changes running statistics;
None where these are what counts."""

_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Conv": {
        "kernel_shape": None,
        "strides": None,
        "pads": None,
        "dilations": None,
        "group": None,
        "auto_pad": b"NOTSET",
    },
    "BatchNormalization": {"epsilon": None, "momentum": None, "training_mode": 0},
    "LayerNormalization": {"epsilon": None, "axis": -1, "stash_type": 1},
    "Gemm": {"transB": None, "transA": 0, "alpha": 1.0, "beta": 1.0},
    "MaxPool": {
        "kernel_shape": None,
        "strides": None,
        "pads": [0, 0, 0, 0],
        "dilations": [1, 1],
        "auto_pad": b"NOTSET",
        "ceil_mode": 0,
        "storage_order": 0,
    },
    "Reshape": {"allowzero": 0},
    "Softmax": {"axis": None},
    "ReduceMean": {"axes": None, "keepdims": None},
    "Flatten": {"axis": 1},
    "Transpose": {"perm": None},
}
"""What each operator may have, and with which value; None for any."""

_OPERANDS = {"Conv": (2, 3), "Gemm": (3,), "Clip": (3,), "LayerNormalization": (3,), "ReduceMean": (1,)}
"""How many operands, where ONNX has several numbers of them."""
