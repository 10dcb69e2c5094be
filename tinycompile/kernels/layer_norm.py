"""Layer normalisation of operators that each round to int8, row by row (`runtime/kernels/tc_layer_norm.h`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import NO_SHORT_REQUANT, Fields, Struct, range_fields, short_requant, struct_call
from tinycompile.kernels.int8_pairs import square_fields
from tinycompile.kernels.integer_forms import narrow_sum_form
from tinycompile.kernels.layer_norm_forms import NO_LINE, NO_SQUARE, RowLine, square_by_unit
from tinycompile.kernels.layer_norm_pattern import LayerNorm, LayerNormPattern, layer_norm_of
from tinycompile.kernels.reduce_loops import ReduceLoops
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._sum import Sum
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.targets.core import Core

INT8_CLAMP = (-128, 127)


@cover_for(LayerNormPattern())
def layer_norm(site: Site, core: Core) -> Kernel | None:
    """`tc_layer_norm_scaled_s8`, `_positive_s8` or `_plain_s8`; None where an operator has no short form."""
    norm = layer_norm_of(site)
    if norm is None:
        return None
    lines = _lines(norm)
    fields = _shape(norm, lines)
    if fields is None:
        return None
    way = "plain" if norm.gain is None else "scaled" if lines is None else "positive"
    constants = _constants(norm, columns=lines is not None)
    function = struct_call(
        f"layer_norm_{way}_{norm.rows}x{norm.depth}",
        f"tc_layer_norm_{way}_s8",
        "tc_layer_norm.h",
        ("const int8_t *input", "int8_t *output", *(f"const {c.ctype} *{c.suffix}" for c in constants)),
        (Struct("tc_layer_norm_shape", fields),),
        "Layer normalisation: a row's statistics, then its elements.",
    )
    return Kernel(
        f"layer_norm_{way}",
        function,
        constants,
        instructions=_instructions(norm, core, way),
        code_bytes={"plain": 560, "scaled": 900, "positive": 750}[way],
        overlap={next(site.dynamic_inputs())[0]: 0},
        notes={"requantisation": "smmlar", "reason": "nothing between its operators is in memory"},
    )


def _instructions(norm: LayerNorm, core: Core, way: str) -> int:
    """Of rows, and of their elements."""
    ways = ("plain", "positive", "scaled")
    if core.has("dsp"):
        row, elements = 110, (15.5, 26.5, 36)
    else:
        row, elements = (200, (39, 87, 92)) if core.has("long_multiply") else (500, (78, 158, 180))
    return round(40 + norm.rows * (row + norm.depth * elements[ways.index(way)]))


def _lines(norm: LayerNorm) -> tuple[RowLine, RowLine] | None:
    """Of the gain, and of the scaled mean; None where a gain may be negative, or where there are none."""
    if norm.gain is None or norm.gain.sig.output.zero_point != INT8_CLAMP[0]:
        return None
    gain_op, mean_op, known = norm.gain.node.op, norm.scaled_mean.node.op, _known_operand(norm.gain)
    if not isinstance(gain_op, Mul) or not isinstance(mean_op, Mul):
        return None
    gamma = np.unique(norm.gain.constant(known)).astype(np.int64) - norm.gain.sig.inputs[known].zero_point
    roots = np.unique(norm.roots).astype(np.int64) - norm.root.zero_point
    means = np.unique(norm.function).astype(np.int64) - norm.centre.zero_point
    gain = RowLine.of(gamma, roots, gain_op.requant(norm.gain.sig))
    mean = RowLine.of(np.arange(256), means, mean_op.requant(norm.scaled_mean.sig))
    return (gain, mean) if gain and mean else None


def _shape(norm: LayerNorm, lines: tuple[RowLine, RowLine] | None) -> Fields | None:
    """Members of a `tc_layer_norm_shape`; None where an operator has no short form."""
    gain, scaled_x, scaled_mean = (_product(part) for part in (norm.gain, norm.scaled_x, norm.scaled_mean))
    mean, variance = _mean_fields(norm.mean), _mean_fields(norm.variance)
    square, total, beta = _square(norm), _total(norm), _beta(norm)
    if not (gain and scaled_x and scaled_mean and mean and variance and square and total and beta):
        return None
    return {
        "rows": norm.rows,
        "depth": norm.depth,
        "statistics": {"mean": mean, "square": _square_by_unit(norm), "aligned": square, "variance": variance},
        "x_zero_point": norm.mean.sig.input.zero_point,
        "root_zero_point": norm.root.zero_point,
        "mean_zero_point": norm.centre.zero_point,
        "gamma_zero_point": 0 if norm.gain is None else norm.gain.sig.inputs[_known_operand(norm.gain)].zero_point,
        "gain_zero_point": 0 if norm.gain is None else norm.gain.sig.output.zero_point,
        "gain_line": NO_LINE if lines is None else lines[0].raised,
        "mean_line": NO_LINE if lines is None else lines[1].fields,
        "gain": gain,
        "scaled_x": scaled_x,
        "scaled_mean": scaled_mean,
        "beta": asdict(beta),
        "sum": asdict(total),
    }


def _product(part: Site | None) -> Fields | None:
    """Members of a `tc_short_requant`."""
    if part is None:
        return NO_SHORT_REQUANT
    op = part.node.op
    if not isinstance(op, Mul) or op.rule != "tflite" or op.clamp != INT8_CLAMP:
        return None
    return short_requant(op.requant(part.sig))


def _mean_fields(part: Site) -> Fields | None:
    """Members of a `tc_mean_shape` of a row."""
    op, depth = part.node.op, part.sig.input.shape[-1]
    rule = op.requant(part.sig) if isinstance(op, Mean) else None
    loops = ReduceLoops.of((depth,), (0,))
    if not isinstance(rule, TfliteRequant) or loops is None:
        return None
    return {
        **loops.fields,
        "minus_zero_points": -part.sig.input.zero_point * depth,
        "multiplier": int(rule.multiplier[0]),
        "shift": int(rule.shift[0]),
        "requant": short_requant(rule) or NO_SHORT_REQUANT,
        "range": range_fields(part.sig.output.zero_point, INT8_CLAMP),
    }


def _square_by_unit(norm: LayerNorm) -> Fields:
    """Members of a `tc_norm_square`."""
    op = norm.square.node.op
    found = square_by_unit(op, norm.square.sig, norm.x_of_square) if isinstance(op, SquaredDifference) else None
    return found or NO_SQUARE


def _square(norm: LayerNorm) -> Fields | None:
    """Members of a `tc_squared_difference_form`, x first."""
    op = norm.square.node.op
    if not isinstance(op, SquaredDifference) or op.clamp != INT8_CLAMP:
        return None
    fields = square_fields(op, norm.square.sig)
    if fields is None or norm.x_of_square == 0:
        return fields
    return {**fields, "a": fields["b"], "b": fields["a"]}


@dataclass(frozen=True)
class _Sum:
    """Members of a `tc_norm_sum`."""

    first: int
    second: int
    start: int
    shift: int

    @staticmethod
    def of(part: Site, mine: int) -> _Sum | None:
        """`mine`: the operand that comes first."""
        op = part.node.op
        if not isinstance(op, Sum) or op.rule != "tflite" or op.clamp != INT8_CLAMP:
            return None
        form = narrow_sum_form(op, part.sig)
        if form is None:
            return None
        factors = (form.first, form.second)
        return _Sum(factors[mine], factors[1 - mine], form.start, form.shift)

    def second_term(self, values: Array) -> Array:
        """With the start, int32."""
        return (values.astype(np.int64) * self.second + self.start).astype(np.int32)


def _total(norm: LayerNorm) -> _Sum | None:
    return _Sum.of(norm.total, norm.x_of_total)


def _beta(norm: LayerNorm) -> _Sum | None:
    return _Sum(0, 0, 0, 1) if norm.offset is None else _Sum.of(norm.offset, 1 - _known_operand(norm.offset))


def _known_operand(part: Site) -> int:
    return next(index for index, value in enumerate(part.constants) if value is not None)


def _constants(norm: LayerNorm, *, columns: bool) -> tuple[Constant, ...]:
    """In the order of the parameters. `columns`: gamma and beta beside each other."""
    roots = Constant("roots", "int8_t", norm.roots, "entry (uint8_t)q is the reciprocal root of the variance q")
    beta = _beta(norm)
    if norm.gain is None or norm.offset is None or beta is None:
        return (roots, Constant("offsets", "int8_t", norm.function, "entry (uint8_t)q is the offset of the product q"))
    known = _known_operand(norm.gain)
    gamma = norm.gain.constant(known).ravel()
    terms = beta.second_term(norm.offset.constant(_known_operand(norm.offset)).ravel())
    means = Constant("means", "int8_t", norm.function, "entry (uint8_t)q is what the mean q is in the products")
    if columns:
        pairs = np.zeros(gamma.size, np.dtype([("gamma", np.int32), ("beta", np.int32)]))
        pairs["gamma"], pairs["beta"] = gamma.astype(np.int32) - norm.gain.sig.inputs[known].zero_point, terms
        fours = pairs[: pairs.size // 4 * 4].reshape(-1, 4)
        fours[:] = fours[:, [0, 2, 1, 3]]
        text = "gamma, without its zero point, and beta with the start of its sum, of columns 0, 2, 1, 3 of each four"
        return (roots, means, Constant("columns", "tc_norm_column", pairs, text))
    return (
        roots,
        means,
        Constant("gamma", "int8_t", gamma),
        Constant("beta", "int32_t", terms, "and the start of its sum"),
    )
