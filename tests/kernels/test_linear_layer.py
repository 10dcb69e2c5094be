"""A layer's facts and requantisations are found once, by content: another weight, bias or scale is another layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tinycompile.ir import Quantization, Signature, Site
from tinycompile.kernels import linear_layer
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.requant import Requant
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.typical import typical


def site(clamp: tuple[int, int] = (-128, 127)) -> Site:
    return layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0), clamp), (1, 5, 5, 4), (6, 3, 3, 4), 0, seed=3)


def with_constant(operand: int) -> Site:
    constants = list(site().constants)
    changed = site().constant(operand).copy()
    changed.flat[-1] ^= 1
    constants[operand] = changed
    return replace(site(), constants=tuple(constants))


def with_output(scale: float, zero_point: int) -> Site:
    sig = site().sig
    output = replace(sig.output, quant=Quantization.per_tensor(scale, zero_point))
    return replace(site(), sig=Signature(sig.inputs, (output,)))


def with_input(zero_point: int) -> Site:
    sig = site().sig
    quant = Quantization.per_tensor(sig.input.scale, zero_point)
    return replace(site(), sig=Signature((replace(sig.input, quant=quant), *sig.inputs[1:]), sig.outputs))


def test_equal_layers_are_one() -> None:
    found = LinearLayer.of(site())
    assert LinearLayer.of(site()) is found
    assert not found.stored.flags.writeable


def test_weights_stay_in_the_memory_of_the_model() -> None:
    """As int64 they would be eight times as large."""
    fresh = with_constant(1)
    assert np.shares_memory(LinearLayer.of(fresh).stored, fresh.constant(1))


@pytest.mark.parametrize(
    "other",
    [with_constant(1), with_constant(2), with_output(0.5, 5), with_output(0.07, 6), with_input(77), site((-100, 100))],
)
def test_another_layer_is_another(other: Site) -> None:
    assert LinearLayer.of(other) is not LinearLayer.of(site())


@pytest.mark.parametrize("single_rounding", [False, True])
def test_channels_that_repeat_are_solved_once(single_rounding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all have what they would have alone."""
    one = LinearLayer.of(site())
    again = np.arange(4 * one.channels - 1) % one.channels
    rule = replace(one.rule, single_rounding=single_rounding)
    many = LinearLayer.kept(one.weights[again], one.bias[again], one.zp_in, rule.take(again), None)
    low, high = many.acc_range
    expected = linear_layer.solve(many.rule, low, high, many.base, 4)
    solved, solve = [], linear_layer.solve

    def counted(rule: Requant, *arguments, **options):
        solved.append(rule.channels)
        return solve(rule, *arguments, **options)

    monkeypatch.setattr(linear_layer, "solve", counted)
    found = many.solve(4)
    assert solved == [one.channels]
    assert found.rule is many.rule
    for what in ("form", "shift", "multiplier", "offset", "start", "sign_step", "constant"):
        assert np.array_equal(getattr(found, what), getattr(expected, what)), what
    for each in (many.acc_raw_range, (many.base,)):
        for values in each:
            assert np.array_equal(values, values[again])


def test_a_requantisation_is_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, calls = LinearLayer.of(with_output(0.061, -3)), []
    solve = linear_layer.solve

    def counted(*arguments, **options):
        calls.append(options)
        return solve(*arguments, **options)

    monkeypatch.setattr(linear_layer, "solve", counted)
    plain, moved = found.solve(4), found.solve(4, np.arange(found.channels))
    assert len(calls) == 1
    assert np.array_equal(plain.start - np.arange(found.channels), moved.start)
    found.solve(4, start_fixed=True)
    found.solve(2)
    assert len(calls) == 3


@pytest.mark.parametrize(
    "op, x, weights, axis",
    [
        (Conv2D(), (1, 3, 3, 12), (40, 1, 1, 12), 0),
        (DepthwiseConv2D(), (1, 4, 4, 37), (1, 3, 3, 37), 3),
        (FullyConnected(), (2, 24), (50, 24), 0),
    ],
)
def test_channels_that_are_announced_to_repeat_are_those_of_the_whole_layer(op, x, weights, axis):
    found = typical(layer(op, x, weights, axis, seed=2))
    known, rows = LinearLayer.of(found), found.constant(1)
    rows = np.moveaxis(rows, 3, 0).transpose(0, 2, 3, 1) if rows.ndim == 4 and rows.shape[0] == 1 else rows
    rows = rows if rows.ndim == 4 else rows[:, None, None, :]
    bias, zero_point = found.constant(2).astype(np.int64), found.sig.input.zero_point
    plain = LinearLayer(rows, bias, zero_point, found.node.op.requant(found.sig))
    plain.__dict__["first"] = plain
    assert known.repeats and known.first.channels < known.channels
    assert np.array_equal(known.stored, plain.stored) and np.array_equal(known.weight_sums, plain.weight_sums)
    assert known.weight_range == plain.weight_range and known.fits(8) == plain.fits(8)
    assert np.array_equal(known.rule.thresholds(), plain.rule.thresholds())
    assert all(np.array_equal(a, b) for a, b in zip(known.acc_range, plain.acc_range, strict=True))
    plans = [each.solve(4, np.arange(each.channels)) for each in (known, plain)]
    for name in ("shift", "multiplier", "offset", "start", "sign_step", "constant", "form", "shape_in_code"):
        assert np.all(getattr(plans[0], name) == getattr(plans[1], name)), name
