"""Facts of a linear layer (convolution, depthwise, fully connected) that every kernel for it needs.

With x any int8 input, acc = bias + sum of w * (x - zp_in). Kernels accumulate acc_raw = sum of w * x, where padded
positions read zp_in; so acc = acc_raw + base, base = bias - zp_in * sum of w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.numerics.latitude import Latitude
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.requant_solver import DSP_FORMS, Form, RequantPlan, fits, solve
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """One output channel per row.

    Attributes:
        weights: int64 (C_out, kh, kw, taps) with taps = C_in / groups; kh = kw = 1 for a fully connected layer.
        bias: int64 (C_out,), zeros where the layer has none.
        zp_in: the input's zero point.
        rule: the requantisation, a function of acc.
        latitude: as in `Site`.
    """

    weights: Array
    bias: Array
    zp_in: int
    rule: Requant
    latitude: Latitude | None = None

    @staticmethod
    def of(site: Site) -> LinearLayer:
        """Of a node with constant weights.

        Raises:
            ValueError: weights or bias are computed at run time, or the operator isn't linear.
        """
        op, sig = site.node.op, site.sig
        weights = site.constant(1).astype(np.int64)
        match op:
            case Conv2D():
                rows = weights
            case DepthwiseConv2D():
                rows = np.moveaxis(weights, 3, 0).transpose(0, 2, 3, 1)
            case FullyConnected():
                rows = weights[:, None, None, :]
            case _:
                raise ValueError(f"{op.kind} is not a linear operator")
        channels = rows.shape[0]
        bias = site.constant(2).astype(np.int64) if len(site.sig.inputs) > 2 else np.zeros(channels, np.int64)
        return LinearLayer(rows, bias, sig.input.zero_point, op.requant(sig), site.latitude)

    @property
    def channels(self) -> int:
        return self.weights.shape[0]

    @property
    def taps(self) -> int:
        """Products per output."""
        return self.weights[0].size

    @property
    def matrix(self) -> Array:
        """The weights as (C_out, kh * kw * taps)."""
        return self.weights.reshape(self.channels, -1)

    @property
    def base(self) -> Array:
        """acc - acc_raw, shape (C_out,)."""
        return self.bias - self.zp_in * self.matrix.sum(axis=1)

    @property
    def acc_raw_range(self) -> tuple[Array, Array]:
        """The lowest and highest acc_raw that int8 inputs can give, per channel."""
        positive = np.maximum(self.matrix, 0).sum(axis=1)
        negative = np.minimum(self.matrix, 0).sum(axis=1)
        return -128 * positive + 127 * negative, 127 * positive - 128 * negative

    @property
    def acc_range(self) -> tuple[Array, Array]:
        """The same of acc."""
        low, high = self.acc_raw_range
        return low + self.base, high + self.base

    def fits(self, pre: int) -> bool:
        """Whether acc << pre stays in int32 on every channel whose output isn't constant.

        Where the weights can be replaced, with room to spare, or with the `pre` of the code that there is.
        """
        low, high = self.acc_range
        if self.latitude is not None and self.latitude.shape is not None:
            return pre == self.latitude.shape.pre and bool(np.all(fits(self.rule, low, high, pre)))
        if self.latitude is not None:
            wider = (np.rint(bound * Latitude.SPARE_RANGE).astype(np.int64) for bound in (low, high))
            low, high = (outer(a, b) for outer, a, b in zip((np.minimum, np.maximum), (low, high), wider, strict=True))
        return bool(np.all(fits(self.rule, low, high, pre)))

    def solve(
        self,
        pre: int,
        extra: Array | int = 0,
        forms: Sequence[Form] = DSP_FORMS,
        *,
        start_fixed: bool = False,
    ) -> RequantPlan:
        """The cheapest exact requantisation of (acc_raw << pre) + extra; call only if `fits(pre)`.

        Args:
            pre: the left shift that the kernel's accumulator carries.
            extra: a constant that the kernel's representation of the input adds to the accumulator, per
                channel and already shifted by `pre`; it is taken out of `start`.
            forms, start_fixed: as in `requant_solver.solve`.
        """
        low, high = self.acc_range
        plan = solve(self.rule, low, high, self.base, pre, forms=forms, start_fixed=start_fixed, latitude=self.latitude)
        return _with_start(plan, extra)


def _with_start(plan: RequantPlan, extra: Array | int) -> RequantPlan:
    from dataclasses import replace

    from tinycompile.numerics.fixed_point import wrap_int32

    start = wrap_int32(plan.start.astype(np.int64) - extra).astype(np.int32)
    return replace(plan, start=start)
