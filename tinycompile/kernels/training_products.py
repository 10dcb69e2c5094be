"""Gradients of convolutions and fully connected layers by pairs of 16-bit products, on cores with the DSP extension."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Function, Kernel, kernel_for, structured
from tinycompile.kernels.cover import Sequel, cover_for, parts_of
from tinycompile.kernels.generic_c import Fields, Struct, names_of, positions_fields, struct_call
from tinycompile.kernels.training_layers import geometry_stem, on
from tinycompile.numerics.block_floating import MANTISSA_BITS
from tinycompile.ops._spatial import Window
from tinycompile.ops._training.input_gradient import InputGradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.parameters import GradientDescent
from tinycompile.ops._training.weight_gradient import WeightGradient
from tinycompile.targets.core import Core

LONGEST_PITCH = 2047
"""Bytes between rows that a block function reads at immediates."""

WRITES_AT_LAST = {0: 0}
"""Results of sums in scratch, for which the gradient has been read: they may lie over it."""

BESIDE = 4
"""Inputs at a time, of depthwise convolutions: TC_BESIDE."""


def is_pointwise(geometry: LinearGeometry) -> bool:
    """Whether each output position reads the pixel at its own place alone: a matrix times all positions."""
    window = geometry.window
    once = window.kernel == (1, 1) and window.stride == (1, 1) and not any(window.padding)
    return once and geometry.groups == 1 and not geometry.depthwise


def as_row(geometry: LinearGeometry) -> LinearGeometry:
    """A pointwise layer with all of its positions in one row."""
    rows, columns, channels = geometry.image
    window = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
    return replace(geometry, window=window, image=(1, rows * columns, channels))


def paired_rows(weights: Array) -> Array:
    """What `tc_add_paired_products` wants of int8 rows (K, depth), K even and depth a multiple of 4.

    Of every four bytes and pair of rows (row 0: 0, 1; row 1: 0, 1), then (row 0: 2, 3; row 1: 2, 3).
    """
    rows, depth = weights.shape
    return weights.reshape(rows // 2, 2, depth // 4, 2, 2).transpose(2, 0, 3, 1, 4).ravel()


def _paired_weights(geometry: LinearGeometry, weights: Array) -> Array:
    """Of each tap of a layer's window."""
    outputs, depth = geometry.outputs, geometry.image[2]
    taps = weights.reshape(outputs, -1, depth)
    filled = np.pad(taps, ((0, outputs % 2), (0, 0), (0, -depth % 4)))
    return np.concatenate([paired_rows(filled[:, tap]) for tap in range(taps.shape[1])])


@dataclass(frozen=True)
class InputProducts:
    """The gradient of a layer's input by products of two positions.

    Attributes:
        geometry: of the layer, all of its positions in a row where it is pointwise.
        block: the function for products of weights in RAM; None where they are constants.
    """

    site: Site
    op: InputGradient
    geometry: LinearGeometry
    block: str | None

    @staticmethod
    def of(site: Site) -> InputProducts | None:
        """None for other layers, and for weights in RAM that the block function can't read."""
        op = site.node.op
        if not isinstance(op, InputGradient) or op.geometry.depthwise or op.geometry.groups != 1:
            return None
        geometry, known = (
            as_row(op.geometry) if is_pointwise(op.geometry) else op.geometry,
            site.constants[2] is not None,
        )
        if not known and not (is_pointwise(op.geometry) and _fits_rows(geometry)):
            return None
        return InputProducts(site, op, geometry, None if known else f"tc_row_products_{geometry.image[2]}")

    @property
    def depth(self) -> int:
        """Input channels, filled up."""
        return -(-self.geometry.image[2] // 4) * 4

    @property
    def rows(self) -> int:
        """Output channels, filled up."""
        return self.geometry.outputs + self.geometry.outputs % 2

    @property
    def constants(self) -> tuple[Constant, ...]:
        geometry, weights = self.geometry, self.site.constants[2]
        mantissas = np.resize(self.site.constant(3), geometry.outputs)
        scales = Constant("mantissas", "int16_t", mantissas, "of the weights' scales")
        if weights is None:
            return (scales,)
        size = prod(geometry.window.kernel) * self.rows * self.depth
        packed = Deferred(size, np.int8, lambda: _paired_weights(geometry, weights))
        return Constant("weights", "int8_t", packed, "int8, not trained: pairs of rows"), scales

    @property
    def instructions(self) -> int:
        """For all sums once; counted from the assembly."""
        geometry, known = self.geometry, self.block is None
        pairs, (out_rows, out_columns), taps = self.rows // 2, geometry.positions, prod(geometry.window.kernel)
        block = self.depth // 4 * (pairs * (15 if known else 20) + pairs // 4 * 3 + 20) + 60
        return out_rows * -(-out_columns // 2) * (taps * block + pairs * 16 + 30)

    def function(self, name: str, header: str, comment: str) -> Function:
        """A call of `tc_` and `name`, which `header` has."""
        geometry, op, known = self.geometry, self.op, self.block is None
        fields: Fields = {
            "window": positions_fields(geometry.window, geometry.image[:2], geometry.positions),
            "input_channels": geometry.image[2],
            "output_channels": geometry.outputs,
            "shift": 2 * MANTISSA_BITS - op.bits,
            "exponent_change": op.exponent_change,
            "paired": int(known),
        }
        return struct_call(
            f"{name}_{geometry_stem(geometry)}{'_fixed' if known else ''}",
            f"tc_{name}",
            header,
            (*_parameters(known=known), "const int16_t *mantissas", "void *scratch"),
            (Struct("tc_input_products_shape", fields),),
            comment,
            (
                *("gradient", "exponent", "weights", "output", "output_exponent", "mantissas", "scratch"),
                self.block or "tc_add_paired_products",
            ),
            () if known else (f"TC_ROW_PRODUCTS({self.block}, {geometry.image[2]})",),
        )


@kernel_for(InputGradient, dtype=None, needs={"dsp"})
def input_gradient_products(site: Site, core: Core) -> Kernel | None:
    """`tc_input_gradient_products`: two positions times four input channels in registers."""
    products = InputProducts.of(site)
    return None if products is None else input_products(products)


def input_products(products: InputProducts) -> Kernel:
    """Two positions times four input channels in registers."""
    rows, columns, _ = products.geometry.image
    comment = "The gradient of a layer's input: two positions times four channels in registers."
    return Kernel(
        "input_gradient_products",
        products.function("input_gradient_products", "tc_input_products.h", comment),
        products.constants,
        scratch_bytes=-(-4 * (rows * columns * products.depth + products.depth + products.rows) // 8) * 8,
        instructions=products.instructions + rows * columns * products.geometry.image[2] * 12 + 100,
        overlap=WRITES_AT_LAST,
        code_bytes=900 if products.block is None else 1300,
    )


@dataclass(frozen=True)
class DepthwiseProducts:
    """The gradient of a depthwise convolution's input, two channels of four inputs in registers."""

    site: Site
    op: InputGradient
    geometry: LinearGeometry

    @staticmethod
    def of(site: Site) -> DepthwiseProducts | None:
        """None for other layers, and for windows with gaps."""
        op = site.node.op
        if not isinstance(op, InputGradient) or not op.geometry.depthwise or op.geometry.window.dilation != (1, 1):
            return None
        geometry, window = op.geometry, op.geometry.window
        channels = geometry.image[2]
        if channels != geometry.outputs or channels < 2 or max(window.stride) > 2 or min(window.kernel) < 2:
            return None
        return DepthwiseProducts(site, op, geometry)

    @property
    def plane(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of rows and of columns: zeros in front of the outputs, and places in all."""
        return _outputs_with_zeros(self.geometry, 0), _outputs_with_zeros(self.geometry, 1)

    @property
    def words(self) -> int:
        """Of scratch, beside sums."""
        return prod(self.geometry.window.kernel) + prod(places for _, places in self.plane)

    @property
    def constants(self) -> tuple[Constant, ...]:
        weights, mantissas = self.site.constants[2], np.resize(self.site.constant(3), self.geometry.outputs)
        scales = Constant("mantissas", "int16_t", mantissas, "of the weights' scales")
        if weights is None:
            return (scales,)
        return Constant("weights", "int8_t", weights.ravel(), "int8, not trained"), scales

    @property
    def instructions(self) -> int:
        """For all sums once; counted from GCC's assembly."""
        geometry = self.geometry
        (rows, columns, channels), (stride_y, stride_x) = geometry.image, geometry.window.stride
        taps, pairs = prod(geometry.window.kernel), -(-channels // 2)
        blocks = rows * stride_x * -(-columns // (stride_x * BESIDE))
        block = 30 + 14 * taps // (stride_y * stride_x)
        return pairs * (60 + 6 * taps + 11 * prod(geometry.positions) + blocks * block)

    def function(self, name: str, header: str, comment: str) -> Function:
        """A call of `tc_` and `name`, which `header` has."""
        geometry, window, op, known = self.geometry, self.geometry.window, self.op, self.site.constants[2] is not None
        (before_y, rows), (before_x, columns) = self.plane
        fields: Fields = {
            "window": positions_fields(window, geometry.image[:2], geometry.positions),
            "channels": geometry.image[2],
            "shift": 2 * MANTISSA_BITS - op.bits,
            "exponent_change": op.exponent_change,
            "rows": rows,
            "columns": columns,
            "before_y": before_y,
            "before_x": before_x,
        }
        blocks = {rest: _beside(geometry, rest, columns) for rest in range(min(window.stride[1], window.kernel[1]))}
        return struct_call(
            f"{name}_{geometry_stem(geometry)}{'_fixed' if known else ''}",
            f"tc_{name}",
            header,
            (*_parameters(known=known), "const int16_t *mantissas", "void *scratch"),
            (Struct("tc_depthwise_gradient_shape", fields),),
            comment,
            (
                *("gradient", "exponent", "weights", "output", "output_exponent", "mantissas", "scratch"),
                *(blocks[rest][0] if rest in blocks else "NULL" for rest in range(2)),
            ),
            tuple(dict.fromkeys(definition for _, definition in blocks.values())),
        )


@kernel_for(InputGradient, dtype=None, needs={"dsp"})
def depthwise_gradient(site: Site, core: Core) -> Kernel | None:
    """`tc_depthwise_gradient`: two channels of four inputs in registers."""
    products = DepthwiseProducts.of(site)
    if products is None:
        return None
    inputs = prod(products.geometry.image)
    comment = "The gradient of a depthwise convolution's input, two channels of four inputs in registers."
    return Kernel(
        "depthwise_gradient",
        products.function("depthwise_gradient", "tc_depthwise_gradient.h", comment),
        products.constants,
        scratch_bytes=-(-4 * (inputs + products.words) // 8) * 8,
        instructions=products.instructions + inputs * 12,
        overlap=WRITES_AT_LAST,
        code_bytes=1200,
    )


def _beside(geometry: LinearGeometry, rest: int, columns: int) -> tuple[str, str]:
    """Name and definition of the block function for columns with this rest of their division by the stride."""
    (stride_y, stride_x), width = geometry.window.stride, geometry.window.kernel[1]
    sizes = -(-(width - rest) // stride_x), stride_x, stride_y * width, columns
    name = "depthwise_gradient_{}x{}_{}_{}".format(*sizes)
    return name, f"TC_BESIDE_BLOCK({', '.join(map(str, (name, *sizes)))})"


def _outputs_with_zeros(geometry: LinearGeometry, axis: int) -> tuple[int, int]:
    """Zeros in front of a depthwise convolution's outputs along an axis, and places in all.

    Inputs beyond the last one, which a block computes as well, read some of these.
    """
    window, size = geometry.window, geometry.image[axis]
    kernel, stride, padding = window.kernel[axis], window.stride[axis], window.padding[2 * axis]
    before = -(-kernel // stride) - 1
    last = (size - 1 + padding) // stride + (BESIDE - 1 if axis == 1 else 0)
    return before, before + max(last + 1, geometry.positions[axis])


def _parameters(*, known: bool) -> list[str]:
    """Of gradients of inputs: constant weights come behind the results."""
    parameters = ["const int16_t *gradient", "const int32_t *exponent", "int16_t *output", "int32_t *output_exponent"]
    parameters.insert(4 if known else 2, "const int8_t *weights")
    return parameters


def _fits_rows(geometry: LinearGeometry) -> bool:
    """Whether a layer's own weights are rows that `TC_ROW_PRODUCTS` reads: in pairs, four bytes at a time."""
    depth = geometry.image[2]
    return geometry.outputs % 2 == 0 and depth % 4 == 0 and depth <= LONGEST_PITCH


@cover_for(Sequel(WeightGradient, GradientDescent), dtype=INT16, needs={"dsp"})
def weight_update_products(site: Site, core: Core) -> Kernel | None:
    """`tc_weight_update_products`: a pair of output channels is applied as soon as its gradient exists."""
    first, _ = parts_of(site)
    gradient = first.node.op
    if not isinstance(gradient, WeightGradient) or not is_pointwise(gradient.geometry):
        return None
    return row_update(site, as_row(gradient.geometry))


def row_update(site: Site, geometry: LinearGeometry) -> Kernel | None:
    """The same of a pointwise layer with all positions in a row; None where there are too few, or too many inputs."""
    inputs, positions = geometry.image[2], geometry.image[1]
    if positions < 2 or not 4 <= inputs <= LONGEST_PITCH or geometry.outputs < 2:
        return None
    block = f"tc_row_products_{inputs}"
    return _weight_update(
        site,
        geometry,
        "weight_update_products",
        "The gradient of a layer's weights, two channels times four inputs in registers, and their step of descent.",
        scratch=4 * (positions + positions % 2) + 8 * inputs,
        cost=_weight_update_cost(geometry),
        block=block,
        preambles=(f"TC_ROW_PRODUCTS({block}, {inputs})",),
    )


@cover_for(Sequel(WeightGradient, GradientDescent), dtype=INT16)
def weight_update_single(site: Site, core: Core) -> Kernel | None:
    """`tc_weight_update_single`: of one position each weight's gradient is a product."""
    first, _ = parts_of(site)
    gradient = first.node.op
    if not isinstance(gradient, WeightGradient) or not is_pointwise(gradient.geometry):
        return None
    geometry = as_row(gradient.geometry)
    if geometry.terms_of_weight != 1:
        return None
    per_weight = 11 if core.has("dsp") else 24
    return _weight_update(
        site,
        geometry,
        "weight_update_single",
        "The gradient of a layer's weights and their step of descent, for a single position.",
        scratch=2 * geometry.image[2],
        cost=on(core, prod(geometry.weights) * per_weight + geometry.outputs * 25 + geometry.image[2] * 4),
    )


def _weight_update(
    site: Site,
    geometry: LinearGeometry,
    name: str,
    comment: str,
    *,
    scratch: int,
    cost: int,
    block: str | None = None,
    preambles: tuple[str, ...] = (),
) -> Kernel | None:
    """`block`: the function for its products. None for what adds gradients of several samples up."""
    first, second = parts_of(site)
    gradient, units = first.node.op, second.constant(4)
    if not isinstance(gradient, WeightGradient) or second.sig.input.dtype != INT16:
        return None
    fields: Fields = {
        "positions": geometry.image[1],
        "inputs": geometry.image[2],
        "outputs": geometry.outputs,
        "input_zero_point": first.sig.inputs[2].zero_point,
        "shift": gradient.exponent_change,
        "one_unit": int(len(units) == 1),
    }
    parameters = (
        *("const int16_t *gradient", "const int32_t *exponent", "const int8_t *input", "const int16_t *parameter"),
        *("const int32_t *rate", "int16_t *output", "const tc_descent_unit *units", "void *scratch"),
    )
    rows = structured(mantissa=units[:, 0], exponent=units[:, 1])
    return Kernel(
        name,
        struct_call(
            f"{name}_{geometry_stem(geometry)}",
            f"tc_{name}",
            "tc_weight_products.h",
            parameters,
            (Struct("tc_weight_products_shape", fields),),
            comment,
            (*names_of(parameters), *([block] if block else [])),
            preambles,
        ),
        (Constant("units", "tc_descent_unit", rows, "what a unit of the gradient is: mantissa, exponent"),),
        scratch_bytes=-(-scratch // 8) * 8,
        instructions=cost,
        code_bytes=900,
    )


def _weight_update_cost(geometry: LinearGeometry) -> int:
    """Counted from the assembly."""
    _, positions, inputs = geometry.image
    pairs, quads = positions // 2, -(-inputs // 4)
    channels = 100 + (pairs + 1) * 13 + quads * (pairs * 20 + pairs // 4 * 3 + 22) + positions % 2 * inputs * 7
    return -(-geometry.outputs // 2) * (channels + 2 * (20 + 9 * inputs)) + 60
