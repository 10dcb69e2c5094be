"""Weights with a factor for each block of a row: against exact rational numbers, and the C against the definition."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.ops.samples import Sample, blockwise
from tests.support.kernel_checks import M7, check
from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Node, Site, TensorType
from tinycompile.kernels import blockwise_layers
from tinycompile.numerics.block_scales import BlockScales, reach
from tinycompile.numerics.step_requant import exact_requant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected


def site(sample: Sample) -> Site:
    names = tuple(f"x{index}" for index in range(len(sample.sig.inputs)))
    return Site(Node("layer", sample.op, names, ("y",)), sample.sig, sample.constants)


def rounded(real: Fraction) -> int:
    """To int8; Python's rounding takes halves to even."""
    return min(max(round(real), -128), 127)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("block", [3, 4, 32])
def test_is_the_real_number_rounded_once(block, wide):
    """float32 scales, which `BlockScales` makes factors of; ties among the sums of small ones."""
    rng = np.random.default_rng(block + wide)
    x, w = rng.integers(-128, 128, (40, 37)), rng.integers(-8, 8, (6, 37))
    shape = 6, -(-37 // block)
    scales = rng.uniform(0.01, 0.1, shape) if wide else rng.integers(0, 5, shape) / 64
    scales[:, -1] = 0.015625
    found = BlockScales.of(scales.astype(np.float32).tolist())
    found = found.widened() if wide else found
    step, bias = Fraction(1, 32), [Fraction(n, 2) for n in range(6)]
    slopes = [step * s for s in found.step]
    rule = (
        RealRequant.of(slopes, bias, reach(w, found.factor, block, 131), 0, INT8.range)
        if wide
        else exact_requant(slopes, bias, Fraction(1), 0, *INT8.range)
    )
    op, sig = BlockwiseFullyConnected(block, rule), blockwise(rng, x.shape, 6, block, wide=wide).sig
    operands = [x.astype(np.int8), w.astype(np.int8), found.factor.astype(np.int32)]
    (got,) = op.evaluate(sig, operands)
    spread = np.repeat(scales.astype(np.float32), block, axis=1)[:, :37]
    for numbers, outputs in zip(x.tolist(), got.tolist(), strict=True):
        for row, row_scales, offset, output in zip(w.tolist(), spread.tolist(), bias, outputs, strict=True):
            terms = (
                Fraction(s) * n * (q - sig.input.zero_point) for s, n, q in zip(row_scales, row, numbers, strict=True)
            )
            assert output == rounded(step * sum(terms) + offset)


def test_scales_are_integers_times_a_step():
    found = BlockScales.of([[0.75, 0.5, 0.0], [0.1, 0.1, 0.1], [2.0**-20, 2.0**-10, 3 * 2.0**-12]])
    assert found.factor.tolist() == [[3, 2, 0], [1, 1, 1], [1, 1024, 768]]
    assert found.step[0] == Fraction(1, 4) and found.step[1] == Fraction(float(np.float64(0.1)))
    wide = found.widened()
    assert all(2**30 <= n < 2**31 for n in wide.factor.max(axis=1))
    for a, b in zip((found, wide), (wide, found), strict=True):
        assert [s * int(n) for s, n in zip(a.step, a.factor[:, 1], strict=True)] == [
            s * int(n) for s, n in zip(b.step, b.factor[:, 1], strict=True)
        ]
    with pytest.raises(ValueError, match="too far apart for factors of 31 bits"):
        BlockScales.of([[float(np.float32(0.1)), float(np.float32(0.1e-6))]])


@pytest.mark.parametrize("variant", ["blockwise", "blockwise_wide", "blockwise_s16"])
def test_c(variant):
    """Rows that don't divide into blocks, more outputs than inputs, in the input's memory."""
    rng, words = np.random.default_rng(0), variant == "blockwise_s16"
    factory = blockwise_layers.portable_words if words else blockwise_layers.portable
    for shape, outputs, block in (((3, 37), 41, 8), ((2, 2, 16), 5, 16), ((1, 600), 3, 555)):
        dtype, wide = INT16 if words else INT8, variant != "blockwise"
        kernel = check(factory, site(blockwise(rng, shape, outputs, block, wide=wide, dtype=dtype)), M7)
        assert kernel.variant == variant


def test_says_what_does_not_fit():
    sample = blockwise(np.random.default_rng(0), (2, 9), 3, 4, wide=False)
    x, w, factors = sample.sig.inputs
    with pytest.raises(ValueError, match=r"factors of the shape \(3, 2\), blocks of 4 in .* have \(3, 3\)"):
        sample.op.infer([x, w, TensorType((3, 2), factors.dtype)])
    with pytest.raises(ValueError, match="don't fit the input"):
        sample.op.infer([x, TensorType((3, 8), INT8), factors])
