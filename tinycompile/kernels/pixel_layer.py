"""Layers for kernels that take some pixels at a time, two to a word: what they have in common (docs/kernels.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.after import After
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.block import is_dense, pixel_distance, row_window
from tinycompile.kernels.generic_c import Fields, Function, Struct, names_of, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights, padding_value
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.kernels.window_rows import PairRows, pair_rows
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._spatial import Window
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

_PARAMETERS = (
    *("const int8_t *input", "int8_t *output", "const int8_t *stream", "const int32_t *channels"),
    "void *scratch",
)


@dataclass(frozen=True, eq=False)
class PixelLayer:
    """A convolution without groups, or several rows of a fully connected layer, which are pixels of a pointwise one.

    Attributes:
        kind, stem: names of the kernel and of its function. comment: of the function.
        callee: the function of the runtime, in the header of its name, with a `tc_packed_conv2d_shape`.
        each_sum: instructions per output of a sum behind the layer.
        at_once: pixels. copied: bytes of rows of windows, as `copied_bytes`. rows: of pairs of windows.
        distance: of the input in front of the output, where they overlap.
        given: functions among the callee's arguments, and definitions of block functions; None for the one that
            requantises packed pixels.
    """

    layer: LinearLayer
    requant: ScalarRequant
    kind: str
    stem: str
    comment: str
    callee: str
    shape: Struct
    each_sum: int
    at_once: int
    copied: int
    rows: PairRows
    distance: int
    pixels: int
    given: tuple[str, ...] | None = None
    definitions: tuple[str, ...] = ()

    @property
    def function(self) -> Function:
        functions, definitions = self._functions
        header, given = f"{self.callee.removesuffix('_s8')}.h", (*names_of(_PARAMETERS), *functions)
        return struct_call(
            self.stem, self.callee, header, _PARAMETERS, (self.shape,), self.comment, given, preambles=definitions
        )

    @property
    def _functions(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names and definitions."""
        if self.given is not None:
            return self.given, self.definitions
        finish, definition = self.requant.packed_finish
        return (finish,), (definition,)

    def with_after(self, kernel: Kernel, after: After | None) -> Kernel:
        """The kernel, with what is behind the layer if anything is."""
        if after is None:
            return kernel
        functions, definitions = self._functions
        each, header = 12 if after.table else self.each_sum, f"{self.callee.removesuffix('_s8')}.h"
        function = after.function(
            self.callee, self.stem, header, _PARAMETERS, self.shape, self.comment, functions, definitions
        )
        return after.kernel(
            kernel, function, each * self.pixels * self.layer.channels, self.at_once * self.layer.channels
        )


def pixel_layer(site: Site, core: Core, name: str, at_once: int, comment: str) -> PixelLayer | None:
    """None where weights can be replaced, so that their groups can't be known, and for other layers.

    Args:
        name: of the kernels behind `conv2d_` and `fully_connected_`, and of their functions in the runtime.
    """
    op, sig = site.node.op, site.sig
    if isinstance(op, Convolution):
        if not is_dense(site):
            return None
        window = op.window_of(sig)
        kind, size, depth = "conv2d", window_stem(window, sig.input, sig.output), sig.input.shape[3]
        fields, copied = window_fields(window, sig.input, sig.output), copied_bytes(site, window)
        read_rows = pair_rows(window, sig.input.shape, sig.output.shape)
        distance = pixel_distance(window, sig.input.shape, sig.output.shape, at_once)
    elif isinstance(op, FullyConnected):
        outputs, depth = sig.inputs[1].shape
        rows = sig.input.elements // depth
        if rows == 1 or has_wide_weights(site):
            return None
        kind, size, fields, copied = "fully_connected", f"{rows}x{depth}_{outputs}", row_window(rows), 0
        read = (at_once * (np.arange(-(-rows // at_once)) + 1)).clip(max=rows)
        distance, read_rows = ordered_distance(read * depth, read * outputs), PairRows(1, depth, -(-rows // 2))
    else:
        return None
    if site.latitude is not None or any(constant is None for constant in site.constants[1:]):
        return None
    layer = LinearLayer.of(site)
    requant = ScalarRequant.of(layer, core, 0)
    if requant is None:
        return None
    kind = f"{kind}_{name}"
    shape = Struct("tc_packed_conv2d_shape", _fields(site, layer, fields, depth, requant))
    callee, pixels = f"tc_{name}_conv2d_s8", sig.output.elements // layer.channels
    stem, names, each_sum = f"{kind}_{size}", (comment, callee), _each_sum(core)
    return PixelLayer(layer, requant, kind, stem, *names, shape, each_sum, at_once, copied, read_rows, distance, pixels)


def _fields(site: Site, layer: LinearLayer, window: Fields, depth: int, requant: ScalarRequant) -> Fields:
    return {
        "window": window,
        "input_channels": depth,
        "output_channels": layer.channels,
        "input_zero_point": padding_value(site, layer),
        "requant": requant.fields,
    }


def copied_bytes(site: Site, window: Window) -> int:
    """Of two rows of windows, where some reach beyond the image or have gaps."""
    return 2 * window.kernel[1] * site.sig.input.shape[3] if any(window.padding) or window.dilation[1] > 1 else 0


def _each_sum(core: Core) -> int:
    """Instructions per output of a sum behind the layer."""
    return 14 if core.has("multiply_accumulate") else 16 if core.has("many_registers") else 28
