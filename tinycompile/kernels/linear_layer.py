"""Facts of a linear layer (convolution, depthwise, fully connected) that every kernel for it needs.

With x any int8 input, acc = bias + sum of w * (x - zp_in). Kernels accumulate acc_raw = sum of w * x, where padded
positions read zp_in; so acc = acc_raw + base, base = bias - zp_in * sum of w.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Site
from tinycompile.lazy import lazy
from tinycompile.numerics.fixed_point import INT32_MAX, INT32_MIN, wrap_int32
from tinycompile.numerics.latitude import Form, Latitude, RequantShape
from tinycompile.numerics.proved_requant import solve
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.numerics.requant_solver import DSP_FORMS, fits
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.transpose_conv import TransposeConv

KEPT_LAYERS = 512
"""Layers whose facts and requantisations are kept: a schedule's search asks for each again and again."""


RECENT_SITES = 4
"""Sites whose layer is known without looking at their weights: a dozen factories ask for each, one after the other."""

Solved = dict[tuple[object, ...], RequantPlan]
"""Requantisations by what was asked for."""


def has_wide_weights(site: Site) -> bool:
    """Whether the weights lost a zero point and are int16: what only portable C takes."""
    return site.sig.inputs[1].dtype == INT16


def padding_value(site: Site, layer: LinearLayer) -> int:
    """What windows read beside the input; 0 where none reaches there, so that it tells no functions apart."""
    op = site.node.op
    return layer.zp_in if isinstance(op, Convolution) and any(op.window_of(site.sig).padding) else 0


@dataclass(frozen=True, eq=False)
class SiteOfAddedBias(Site):
    """A layer with constant weights whose bias is a value in RAM.

    Kernels are made as if it had none; whoever asks for them sees to it that sums begin with it (`LinearLayer.added`).

    Attributes:
        limit: biases are within [-limit, limit].
    """

    limit: int = 0


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """One output channel per row. Its arrays are shared by all who ask for the same layer: they are read-only.

    Attributes:
        stored: the weights as the model has them, in its own memory and type, as `weights`.
        bias: int64 (C_out,), zeros where the layer has none.
        zp_in: the input's zero point.
        rule: the requantisation, a function of acc.
        latitude: as in `Site`.
        added: the range of a bias that is added to sums when the layer runs, beside `bias`.
    """

    stored: Array
    bias: Array
    zp_in: int
    rule: Requant
    latitude: Latitude | None = None
    added: tuple[int, int] = (0, 0)
    _solved: Solved = field(default_factory=lambda: Solved(), repr=False)
    _fitting: dict[tuple[int, int], bool] = field(default_factory=dict[tuple[int, int], bool], repr=False)

    @staticmethod
    @lru_cache(RECENT_SITES)
    def of(site: Site) -> LinearLayer:
        """Of a node with constant weights.

        Raises:
            ValueError: weights or bias are computed at run time, or the operator isn't linear.
        """
        op, sig = site.node.op, site.sig
        weights = site.constant(1)
        match op:
            case Conv2D() | TransposeConv():
                rows = weights
            case DepthwiseConv2D():
                rows = np.moveaxis(weights, 3, 0).transpose(0, 2, 3, 1)
            case FullyConnected():
                rows = weights[:, None, None, :]
            case _:
                raise ValueError(f"{op.kind} is not a linear operator")
        if site in _ANNOUNCED:
            return LinearLayer._repeating(site, rows, lambda: op.requant(sig))
        if isinstance(site, SiteOfAddedBias):
            none: Array = np.zeros(sig.output.shape[-1], np.int64)
            found = LinearLayer.kept(rows, none, sig.input.zero_point, op.requant(sig), None)
            return found.with_added_bias(site.limit)
        bias = site.constant(2) if len(site.sig.inputs) > 2 else np.zeros(rows.shape[0], np.int64)
        return LinearLayer.kept(rows, bias, sig.input.zero_point, op.requant(sig), site.latitude)

    @staticmethod
    def announce(site: Site, period: int, kind: Hashable) -> None:
        """Of a site whose channels are the first `period` ones over and over again: it needn't be looked for.

        Args:
            kind: equal for all sites whose first channels are equal in all that a layer says of them.
        """
        _ANNOUNCED[site] = period, (kind, site.latitude)

    @staticmethod
    def _repeating(site: Site, rows: Array, whole: Callable[[], Requant]) -> LinearLayer:
        """Of an announced site. `whole`: the rule of all channels."""
        sig, (period, kind) = site.sig, _ANNOUNCED[site]
        channels = len(rows)
        bias = site.constant(2) if len(sig.inputs) > 2 else np.zeros(channels, np.int64)
        first = _FIRST.get(kind)
        if first is None:
            rule = whole().take(np.arange(period))
            first = LinearLayer.kept(rows[:period].copy(), bias[:period], sig.input.zero_point, rule, site.latitude)
            if len(_FIRST) >= KEPT_LAYERS:
                _FIRST.clear()
            _FIRST[kind] = first
        rule = first.rule.take(np.arange(channels) % period)
        found = LinearLayer(*_read_only(rows, bias), sig.input.zero_point, rule, site.latitude)
        found.__dict__["first"] = first
        return found

    @staticmethod
    def kept(
        weights: Array,
        bias: Array,
        zp_in: int,
        rule: Requant,
        latitude: Latitude | None,
        added: tuple[int, int] = (0, 0),
    ) -> LinearLayer:
        """The layer with these attributes, of any integer type, as it was made when it was first asked for."""
        return _kept(_Content(weights, bias, zp_in, rule, latitude, added))

    def with_added_bias(self, limit: int) -> LinearLayer:
        """The layer with a bias of any channel within [-limit, limit] that is added when it runs.

        It may be clamped to `added` before: beyond, an output is at an end of its range whatever the input is.
        """
        added = added_range(self.rule, *self.acc_range, limit)
        return LinearLayer.kept(self.stored, self.bias, self.zp_in, self.rule, self.latitude, added)

    @property
    def adds_bias(self) -> bool:
        """Whether a bias is added when it runs."""
        return self.added != (0, 0)

    @property
    def weights(self) -> Array:
        """int64 (C_out, kh, kw, taps) with taps = C_in / groups; kh = kw = 1 for a fully connected layer.

        Made anew each time: eight bytes for each byte of a large model are not to stay.
        """
        return self.stored.astype(np.int64)

    @property
    def channels(self) -> int:
        return self.stored.shape[0]

    @property
    def window(self) -> tuple[int, int]:
        """kh, kw."""
        _, height, width, _ = self.stored.shape
        return height, width

    @property
    def taps(self) -> int:
        """Products per output."""
        return prod(self.stored.shape[1:])

    @property
    def matrix(self) -> Array:
        """The weights as int64 (C_out, kh * kw * taps), made anew each time."""
        return self.weights.reshape(self.channels, -1)

    @lazy
    def weight_sums(self) -> Array:
        """The sum of each channel's weights, int64 (C_out,)."""
        if self.repeats:
            return np.resize(self.first.weight_sums, self.channels)
        return self.matrix.sum(axis=1)

    @lazy
    def weight_range(self) -> tuple[int, int]:
        """The lowest and the highest weight, and 0."""
        stored = self.first.stored
        return int(stored.min(initial=0)), int(stored.max(initial=0))

    def fits_bits(self, bits: int) -> bool:
        """Whether all weights are signed integers of so many bits, and stay it: these can't be replaced by others."""
        low, high = self.weight_range
        return self.latitude is None and -(1 << bits - 1) <= low and high < 1 << bits - 1

    @lazy
    def base(self) -> Array:
        """acc - acc_raw, shape (C_out,)."""
        if self.repeats:
            return np.resize(self.first.base, self.channels)
        return self.bias - self.zp_in * self.weight_sums

    @lazy
    def acc_raw_range(self) -> tuple[Array, Array]:
        """The lowest and highest acc_raw that int8 inputs can give, per channel."""
        if self.repeats:
            low, high = self.first.acc_raw_range
            return np.resize(low, self.channels), np.resize(high, self.channels)
        positive = np.maximum(self.matrix, 0).sum(axis=1)
        negative = self.weight_sums - positive
        return -128 * positive + 127 * negative, 127 * positive - 128 * negative

    @property
    def acc_range(self) -> tuple[Array, Array]:
        """The same of acc, with any bias that is added."""
        low, high = self.acc_raw_range
        return low + self.base + self.added[0], high + self.base + self.added[1]

    def fits(self, pre: int, factor: int = 1) -> bool:
        """Whether acc 2^pre factor stays in int32 on every channel whose output isn't constant.

        Where the weights can be replaced, with room to spare, or with the `pre` of the code that there is.
        """
        if (pre, factor) not in self._fitting:
            self._fitting[pre, factor] = self._fits(pre, factor)
        return self._fitting[pre, factor]

    def _fits(self, pre: int, factor: int) -> bool:
        if self.repeats:
            return self.first.fits(pre, factor)
        low, high = self.acc_range
        if self.latitude is not None and self.latitude.shape is not None:
            same = (pre, factor) == (self.latitude.shape.pre, self.latitude.shape.factor)
            return same and bool(np.all(fits(self.rule, low, high, pre, factor)))
        if self.latitude is not None:
            wider = (np.rint(bound * Latitude.SPARE_RANGE).astype(np.int64) for bound in (low, high))
            low, high = (outer(a, b) for outer, a, b in zip((np.minimum, np.maximum), (low, high), wider, strict=True))
        return bool(np.all(fits(self.rule, low, high, pre, factor)))

    def solve(
        self,
        pre: int,
        extra: Array | int = 0,
        forms: Sequence[Form] = DSP_FORMS,
        *,
        start_fixed: bool = False,
        factor: int = 1,
        shift: int | None = None,
    ) -> RequantPlan:
        """The cheapest exact requantisation of acc_raw 2^pre factor + extra; call only if `fits(pre, factor)`.

        Args:
            pre: the left shift that the kernel's accumulator carries.
            extra: a constant that the kernel's representation of the input adds to the accumulator, per
                channel and already multiplied by all that; it is taken out of `start`.
            forms, start_fixed, factor: as in `requant_solver.solve`.
            shift: the only S wanted, of the only form; the largest possible one if None.
        """
        key = pre, *forms, start_fixed, factor, shift
        if key not in self._solved:
            self._solved[key] = self._solve(pre, forms, start_fixed, factor, shift)
        plan = self._solved[key]
        if isinstance(extra, int) and not extra:
            return plan
        start = wrap_int32(plan.start.astype(np.int64) - extra).astype(np.int32)
        return plan.starting_at(start)

    def _solve(self, pre: int, forms: Sequence[Form], start_fixed: bool, factor: int, shift: int | None) -> RequantPlan:
        if self.repeats:
            plan = self.first.solve(pre, forms=forms, start_fixed=start_fixed, factor=factor, shift=shift)
            return plan.repeated(self.rule)
        low, high = self.acc_range
        return solve(
            self.rule,
            low,
            high,
            self.base,
            pre,
            forms=forms,
            start_fixed=start_fixed,
            latitude=self.latitude if shift is None else Latitude(RequantShape(pre, forms[0], shift)),
            factor=factor,
        )

    @property
    def repeats(self) -> bool:
        """Whether there are channels that only repeat others."""
        return self.first is not self

    @lazy
    def is_fixed_point(self) -> bool:
        """Whether a rule that rounds a product once is fixed point arithmetic for all accumulators that there are."""
        if self.repeats:
            return self.first.is_fixed_point
        rule = self.rule
        return isinstance(rule, RoundedProductRequant) and bool(np.all(rule.is_fixed_point(*self.acc_range)))

    @lazy
    def first(self) -> LinearLayer:
        """The first channels, where the others are these over and over again; else this layer.

        Trained layers are as good as never so; those whose price is asked for before they have weights are.
        """
        first = self.stored[:, 0, 0, 0]
        like_first = np.flatnonzero((self.bias[1:] == self.bias[0]) & (first[1:] == first[0])) + 1
        period = next((distance for distance in like_first.tolist() if self._repeats(distance)), self.channels)
        if period == self.channels:
            return self
        rule = self.rule.take(np.arange(period))
        return LinearLayer.kept(self.stored[:period], self.bias[:period], self.zp_in, rule, self.latitude, self.added)

    def _repeats(self, distance: int) -> bool:
        """Whether every channel is the one so many before it."""
        if any(not np.array_equal(facts[distance:], facts[:-distance]) for facts in (self.bias, self.stored)):
            return False
        channels = np.arange(self.channels)
        earlier, later = self.rule.take(channels[:-distance]), self.rule.take(channels[distance:])
        return all(np.array_equal(a, b) for (_, a), (_, b) in zip(_facts(earlier), _facts(later), strict=True))


def added_range(rule: Requant, low: Array, high: Array, limit: int) -> tuple[int, int]:
    """Least and most that a bias within [-limit, limit] has to be: beyond, outputs are at an end of their range.

    Args:
        low, high: the accumulators of each channel to which it is added.
    """
    thresholds = np.clip(rule.thresholds(), INT32_MIN, INT32_MAX)
    least, most = int((thresholds[:, 0] - 1 - high).min()), int((thresholds[:, -1] - low).max())
    return max(-limit, min(least, 0)), min(limit, max(most, 0))


def _facts(rule: Requant) -> Iterator[tuple[str, Any]]:
    """Name and value of all that it is made of."""
    for each in fields(rule):  # pyright: ignore[reportArgumentType] - every rule is a dataclass
        yield each.name, getattr(rule, each.name)


_ANNOUNCED: WeakKeyDictionary[Site, tuple[int, Hashable]] = WeakKeyDictionary()
"""Sites whose channels repeat: the period, and what their first channels are known by."""

_FIRST: dict[Hashable, LinearLayer] = {}
"""Layers of these first channels."""


@dataclass(frozen=True, eq=False)
class _Content:
    """A layer's arguments, equal where all of their values are."""

    weights: Array
    bias: Array
    zp_in: int
    rule: Requant
    latitude: Latitude | None
    added: tuple[int, int]

    @lazy
    def digest(self) -> bytes:
        types = self.weights.dtype, self.bias.dtype
        about = f"{self.weights.shape} {types} {self.zp_in} {type(self.rule).__name__} {self.latitude} {self.added}"
        found = hashlib.blake2b(about.encode())
        for array in (self.weights, self.bias):
            found.update(array.tobytes())
        for name, value in _facts(self.rule):
            found.update(value.tobytes() if isinstance(value, np.ndarray) else f"{name} {value} ".encode())
        return found.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(KEPT_LAYERS)
def _kept(content: _Content) -> LinearLayer:
    stored, bias = _read_only(content.weights, content.bias)
    return LinearLayer(stored, bias, content.zp_in, content.rule, content.latitude, content.added)


def _read_only(weights: Array, bias: Array) -> tuple[Array, Array]:
    """As a layer has them."""
    found = weights.view(), bias.astype(np.int64)
    for array in found:
        array.setflags(write=False)
    return found
