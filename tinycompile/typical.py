"""Kernels without weights: what a layer costs with any that training may leave, looked up by its signature.

What a kernel costs depends on the weights in one way: which machine sequence requantises exactly, and so which kernels
there are; and, without SIMD, by a few percent on how large they are, since packed pixels take them in groups. A search
over architectures asks before there are any weights. So a layer is priced with typical ones: normally distributed, in
int8 with 127 as the largest of what shares a scale, as quantisers leave them, and scales such that the outputs fill
their range. (Trained channels have a few larger weights among smaller ones: without SIMD, benchmark models take 0 to
7 % fewer instructions with their own, vww_96, half of whose channels are unused, 10 to 14 %.) They follow from the
layer's signature alone: the answer is the same whoever asks, in whatever order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache, partial
from math import sqrt
from typing import Any, cast

import numpy as np

from tinycompile.ir import Array, Op, Quantization, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Constant, Deferred, Function, Kernel
from tinycompile.kernels.cover import Fused, parts_of
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

KEPT_PRICES = 20_000
"""Signatures whose kernels are kept; they hold no weights."""

RECENT_SITES = 4
"""Typical sites that are kept with their arrays: those of the node whose kernels are being made."""

RECENT_ROWS = 256
"""Numbers of products per output whose typical weights are kept, and shapes that zeros are kept of."""

_INPUT_DEVIATION, _OUTPUT_DEVIATION = 32.0, 32.0
"""Standard deviations in steps of the types: a quarter of what int8 reaches, as trained layers have them."""

_SLOPES = (0.5, 0.8, 1.25, 2.0)
"""Scales of the channels, relative to each other."""

_PERIOD = 4 * len(_SLOPES)
"""Channels that differ; the others repeat them, so that what is solved channel by channel is solved for these."""

_SEED = 27


class Priced:
    """A site that equals every other with the same signature; of layers' weights and biases it has shapes and types."""

    def __init__(self, site: Site, core: Core) -> None:
        self.site, self.core = _of_shapes(site), core
        self.signature = signature_of(site), core, site.latitude
        self._hash = hash(self.signature)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Priced) and self._hash == other._hash and self.signature == other.signature

    def __hash__(self) -> int:
        return self._hash


def _of_shapes(site: Site) -> Site:
    """With zeros for the weights and biases of layers, which take no memory: `typical` reads none."""
    if is_linear(site):
        of_layers = set(range(1, len(site.constants)))
    elif isinstance(site.node.op, Fused):
        parts = [(part.node.inputs, is_linear(part)) for part in parts_of(site)]
        weights = {name for inputs, linear in parts if linear for name in inputs[1:]}
        others = {name for inputs, linear in parts for name in (inputs[:1] if linear else inputs)}
        of_layers = {i for i, name in enumerate(site.node.op.operands) if name in weights - others}
    else:
        return site
    constants = list(site.constants)
    for operand in of_layers:
        value = constants[operand]
        constants[operand] = None if value is None else _zeros(value.shape, value.dtype)
    copy = object.__new__(type(site))
    copy.__dict__.update(site.__dict__, constants=tuple(constants))  # `replace` takes ten times as long
    return copy


@lru_cache(RECENT_ROWS)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """All of them in one place."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def typical_kernels_of(site: Site, core: Core) -> list[Kernel]:
    """Every kernel for the node with typical weights; with its own constants where it isn't a layer with weights.

    Their constants have sizes, and values only where those follow from shapes.

    Raises:
        UnsupportedError: as `kernels_of`.
    """
    return list(kernels_of_priced(Priced(site, core)))


@lru_cache(KEPT_PRICES)
def kernels_of_priced(priced: Priced) -> tuple[Kernel, ...]:
    """As `typical_kernels_of`."""
    return without_values(lambda: kernels_of(typical_site(priced), priced.core))


@lru_cache(RECENT_SITES)
def typical_site(priced: Priced) -> Site:
    """`typical` of the site: the same object for all who ask about one node, which kernels know layers by."""
    return typical(priced.site)


class Remade(Deferred):
    """An array whose kernel is made again when somebody reads it."""


def without_values(make: Callable[[], Sequence[Kernel]]) -> tuple[Kernel, ...]:
    """Kernels with the sizes of their constants, and the values of those alone that follow from shapes.

    Prices need no others, and there are too many kernels to keep them all: who asks for one has the kernels made again.

    Args:
        make: the kernels, the same ones each time.
    """
    return tuple(_sized_all(kernel, make, number) for number, kernel in enumerate(make()))


def _sized_all(kernel: Kernel, make: Callable[[], Sequence[Kernel]], number: int) -> Kernel:
    if all(constant.of_shapes or isinstance(constant.content, Remade) for constant in kernel.constants):
        return kernel
    function = kernel.function
    if function is not None and not function.is_made:
        own = function  # what makes it holds the layer's arrays
        function = Function.later(own.stem, own.parameters, partial(_function, make, number))
    constants = tuple(_sized(c, make, number, i) for i, c in enumerate(kernel.constants))
    return kernel.but(function=function, constants=constants)


def _function(make: Callable[[], Sequence[Kernel]], number: int) -> Function:
    kernel = make()[number]
    if kernel.function is None:
        raise ValueError(f"{kernel.variant} has no function any more")
    return kernel.function


def _sized(constant: Constant, make: Callable[[], Sequence[Kernel]], kernel: int, index: int) -> Constant:
    if constant.of_shapes or isinstance(constant.content, Remade):
        return constant
    (size,), dtype = constant.layout
    return constant.made_by(Remade(size, dtype, partial(_values, make, kernel, index)))


def _values(make: Callable[[], Sequence[Kernel]], kernel: int, index: int) -> Array:
    return make()[kernel].constants[index].values


def is_linear(site: Site) -> bool:
    """Whether it is a layer whose weights and bias are known, all of them integers or all floats."""
    op, constants = site.node.op, site.constants[1:]
    kinds = {None if constant is None else constant.dtype.kind for constant in constants}
    known = kinds in ({"i"}, {"f"})
    return isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected) and bool(constants) and known


def signature_of(site: Site) -> Hashable:
    """All that the price of a node depends on: of a layer with weights neither those nor scales.

    Of several nodes that are computed together the parts' signatures, with scales, and what is given to whom.
    """
    parts = parts_of(site)
    if len(parts) == 1:
        return _signature_of(site, scales=not is_linear(site))
    names = dict.fromkeys(name for part in parts for name in (*part.node.inputs, *part.node.outputs))
    number = {name: i for i, name in enumerate(names)}
    return tuple(
        (_signature_of(part, scales=True), *(number[name] for name in (*part.node.inputs, *part.node.outputs)))
        for part in parts
    )


def _signature_of(site: Site, *, scales: bool) -> Hashable:
    """Of one node.

    Args:
        scales: of activations.
    """
    op, linear = site.node.op, is_linear(site)
    constants = tuple(
        None if value is None else (value.shape, value.dtype.str) if linear else _content(value)
        for value in site.constants
    )
    inputs = (_type(t, scales and not (linear and operand)) for operand, t in enumerate(site.sig.inputs))
    types = (*inputs, *(_type(t, scales) for t in site.sig.outputs))
    return _attributes(op, linear), constants, types


def _attributes(op: Op, linear: bool) -> Hashable:
    """The operator's class and fields; of a layer's requantisation only its kind and clamp."""
    found: list[Hashable] = [type(op)]
    for name in _fields_of(type(op)):
        value: Any = getattr(op, name)
        if linear and name == "rule" and value is not None:
            found.append((cast(type[Requant], type(value)), value.zero_point, value.low, value.high))
        else:
            found.append(_content(value))
    return tuple(found)


@cache
def _fields_of(kind: type[Any]) -> tuple[str, ...]:
    """Of a dataclass."""
    return tuple(each.name for each in fields(kind))


_PLAIN = frozenset({int, bool, str, float, tuple, type(None)})


def _content(value: Any) -> Hashable:
    """Equal where the values are."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.ndarray):
        array = cast(Array, value)
        return array.shape, array.dtype.str, array.tobytes()
    if is_dataclass(value):
        return type(value), *(_content(getattr(value, name)) for name in _fields_of(type(value)))
    return cast(Hashable, value)


def _type(t: TensorType, scales: bool) -> Hashable:
    quant = t.quant
    if quant is None:
        return t.shape, t.dtype
    scale = quant.scale.tobytes() if scales else quant.is_per_tensor
    return t.shape, t.dtype, scale, quant.zero_point.tobytes() if quant.is_per_tensor else None, quant.axis


def typical(site: Site) -> Site:
    """The same with typical weights, biases and scales of layers, alone or among what is computed together."""
    op = site.node.op
    if not isinstance(op, Fused):
        return _typical(site) if is_linear(site) else site
    types, constants = dict[str, TensorType](), dict[str, Array | None]()
    parts = [_typical(part, alone=False) if is_linear(part) else part for part in parts_of(site)]
    for part in parts:
        types.update(zip(part.node.inputs, part.sig.inputs, strict=True))
        constants.update(zip(part.node.inputs, part.constants, strict=True))
    node = replace(site.node, op=replace(op, nodes=tuple(part.node for part in parts)))
    sig = replace(site.sig, inputs=tuple(types[name] for name in op.operands))
    return replace(site, node=node, sig=sig, constants=tuple(constants[name] for name in op.operands))


def _typical(site: Site, alone: bool = True) -> Site:
    """Args:
    alone: its input and output have scales that suit it; else those that they have for others.
    """
    op, weights, y = site.node.op, site.constant(1), site.sig.output
    if weights.dtype.kind == "f":
        shapes = (value.shape for value in site.constants[1:] if value is not None)
        floats = (np.resize(_weights(), shape).astype(weights.dtype) for shape in shapes)
        return replace(site, constants=(site.constants[0], *floats))
    axis = 3 if isinstance(op, DepthwiseConv2D) else 0
    channels = int(weights.shape[axis])
    taps = weights.size // channels
    per_tensor = site.sig.inputs[1].quant is not None and site.sig.inputs[1].quant.is_per_tensor
    distinct, deviation = _rows(taps, per_tensor)
    rows = np.resize(distinct, (channels, *(size for i, size in enumerate(weights.shape) if i != axis)))
    values = np.moveaxis(rows, 0, axis).astype(weights.dtype)
    spread = deviation * _INPUT_DEVIATION * sqrt(taps)
    bias = np.resize(np.rint(spread * _biases()), channels).astype(np.int32)
    slopes = np.resize(np.array(_SLOPES) * _OUTPUT_DEVIATION / spread, channels)
    own = slopes[:1] if per_tensor else slopes
    scale = (own if alone else own * y.scale / site.sig.input.scale).astype(np.float32)
    quant = Quantization(scale, np.zeros(scale.size, np.int64), None if per_tensor else axis)
    x = _with_scale(site.sig.input) if alone else site.sig.input
    types = [x, replace(site.sig.inputs[1], quant=quant), *site.sig.inputs[2:]]
    rule = getattr(op, "rule", None)
    if isinstance(rule, StepRequant):
        each = np.broadcast_to(own.astype(np.float32), channels).tolist()
        op = cast(Op, replace(cast(Any, op), rule=_typical_rule(rule, each)))
    found = replace(
        site,
        node=replace(site.node, op=op),
        sig=replace(site.sig, inputs=tuple(types), outputs=(_with_scale(y) if alone else y, *site.sig.outputs[1:])),
        constants=(site.constants[0], values, bias)[: len(site.constants)],
    )
    if alone and rule is None and channels > _PERIOD:
        shape = tuple(size for i, size in enumerate(weights.shape) if i != axis)
        kind = _attributes(op, linear=True), shape, weights.dtype, per_tensor, x.zero_point, y.zero_point
        LinearLayer.announce(found, _PERIOD, (*kind, len(site.constants)))
    return found


@lru_cache(RECENT_ROWS)
def _rows(taps: int, per_tensor: bool) -> tuple[Array, float]:
    """Weights (_PERIOD, taps) of the channels that differ, the largest of each or of all 127; their deviation."""
    normal = np.resize(_weights(), (_PERIOD, taps)).astype(np.float64)
    peaks = np.abs(normal).max(axis=None if per_tensor else 1, keepdims=True)
    values = np.rint(127 * normal / peaks)
    return values.astype(np.int8), sqrt(float((values * values).mean()))


@cache
def _weights() -> Array:
    """A prime number of them, so that no two of the channels that differ have the same ones in the same places."""
    return np.random.default_rng(_SEED).normal(0, 1, 4099)


@cache
def _biases() -> Array:
    """Of the channels that differ, in standard deviations of the sum of products."""
    return np.random.default_rng(_SEED).normal(0, 1, _PERIOD)


def _typical_rule(rule: StepRequant, slopes: Sequence[float]) -> StepRequant:
    product = list(map(Fraction, slopes))
    nothing = [Fraction(0)] * len(product)
    return exact_requant(product, nothing, Fraction(1), rule.zero_point, rule.low, rule.high, rule.even_zero_point)


def _with_scale(t: TensorType) -> TensorType:
    """With a scale of 1, and its zero point."""
    return TensorType(t.shape, t.dtype, _unscaled(t.zero_point))


@cache
def _unscaled(zero_point: int) -> Quantization:
    return Quantization.per_tensor(1.0, zero_point)
