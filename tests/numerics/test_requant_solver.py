"""Plans against the rule, against the machine, and against a proof that must notice every change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.latitude import Form, Latitude
from tinycompile.numerics.requant import OnnxRequant, Requant, TfliteRequant
from tinycompile.numerics.requant_plan import RequantPlan, prove
from tinycompile.numerics.requant_solver import DSP_FORMS, fits, largest_shift, solve

CHANNELS = 8


class Layer:
    """A random layer: rule, reachable range and folded constants."""

    def __init__(
        self,
        seed: int,
        *,
        zero_point: int = -128,
        low: int = -128,
        high: int = 127,
        spread: float = 4.0,
        scale: float = 2e-3,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.scale = scale * rng.uniform(1, spread, CHANNELS)
        self.rule: Requant = TfliteRequant(*quantize_multiplier(self.scale), zero_point, low, high)
        self.set_outputs(rng.uniform(-500, 0, CHANNELS), rng.uniform(100, 600, CHANNELS))
        self.base = rng.integers(-5000, 5000, CHANNELS)

    def set_outputs(self, lowest: np.ndarray, highest: np.ndarray) -> None:
        """Let the reachable range be that of these outputs before saturation."""
        self.acc_min = ((lowest - self.rule.zero_point) / self.scale).astype(np.int64)
        self.acc_max = ((highest - self.rule.zero_point) / self.scale).astype(np.int64)

    def solve(
        self, pre: int, forms: tuple[Form, ...] = DSP_FORMS, start_fixed: bool = False, factor: int = 1
    ) -> RequantPlan:
        limits = self.acc_min, self.acc_max, self.base, pre
        return solve(self.rule, *limits, forms=forms, start_fixed=start_fixed, factor=factor)

    def prove(self, plan: RequantPlan) -> str | None:
        return prove(plan, self.rule, self.acc_min, self.acc_max, self.base)

    def assert_equal(self, plan: RequantPlan) -> None:
        """Compare at all thresholds, their neighbours, and a sweep of the range."""
        thresholds = self.rule.thresholds().T
        sweep = np.linspace(self.acc_min, self.acc_max, 2000).astype(np.int64)
        acc = np.concatenate([sweep, thresholds - 2, thresholds - 1, thresholds, thresholds + 1])
        acc = np.clip(acc, self.acc_min, self.acc_max)
        assert np.array_equal(plan.apply(acc - self.base), self.rule.apply(acc))


def machine(plan: RequantPlan, acc_raw: int, channel: int) -> int:
    """The instruction sequence on Python integers, one instruction after the other."""

    def int32(x: int) -> int:
        return (x + 2**31) % 2**32 - 2**31

    m, shift = int(plan.multiplier[channel]), int(plan.shift[channel])
    a = int32(acc_raw * plan.factor * 2**plan.pre + int(plan.start[channel]))
    u = int32(int(plan.offset[channel]) - (int(plan.sign_step[channel]) & (a >> 31)))
    t = int32(u + ((a * m) >> 32))
    bits = plan.saturate_bits
    lowest, highest = (0, 2**bits - 1) if plan.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    y = min(max(t >> shift, lowest), highest)
    return min(max(y, plan.low), plan.high) if plan.needs_clamp else y


seeds = st.integers(0, 2**32)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([(0, 1), (2, 1), (4, 1), (8, 1), (6, 9), (0, 3)]))
def test_relu_layers_take_two_instructions(seed: int, scale: tuple[int, int]) -> None:
    layer = Layer(seed)
    plan = layer.solve(scale[0], factor=scale[1])
    assert plan.form == "smmla"
    assert np.all(plan.sign_step == 0)
    assert not plan.needs_clamp
    layer.assert_equal(plan)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([(4, 1), (8, 1), (6, 9)]), st.integers(-100, 100))
def test_layers_without_relu_take_four(seed: int, scale: tuple[int, int], zero_point: int) -> None:
    layer = Layer(seed, zero_point=zero_point)
    plan = layer.solve(scale[0], factor=scale[1])
    assert plan.form == "smmla_signed"
    layer.assert_equal(plan)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(-128, 127), st.floats(1e-5, 0.5), st.floats(1, 3000), st.integers(0, 8))
def test_any_layer_is_exact_in_some_form(seed: int, zero_point: int, scale: float, spread: float, pre: int) -> None:
    layer = Layer(seed, zero_point=zero_point, low=max(-128, zero_point - 50), scale=scale / spread, spread=spread)
    if np.all(fits(layer.rule, layer.acc_min, layer.acc_max, pre)):
        layer.assert_equal(layer.solve(pre))


@settings(max_examples=15, deadline=None)
@given(seeds, st.booleans(), st.sampled_from([(8, 1), (6, 9)]))
def test_the_numpy_twin_is_the_machine(seed: int, relu: bool, scale: tuple[int, int]) -> None:
    layer = Layer(seed, zero_point=-128 if relu else 3)
    plan = layer.solve(scale[0], factor=scale[1])
    acc_raw = np.linspace(layer.acc_min, layer.acc_max, 50).astype(np.int64) - layer.base
    outputs = plan.apply(acc_raw)
    for (row, channel), output in np.ndenumerate(outputs):
        assert output == machine(plan, int(acc_raw[row, channel]), channel)


def test_scales_far_apart_take_a_shift_per_channel() -> None:
    layer = Layer(1)
    layer.scale = 0.02 * 0.35 ** np.arange(CHANNELS, dtype=np.float64)
    layer.rule = TfliteRequant(*quantize_multiplier(layer.scale), -128, -128, 127)
    layer.set_outputs(np.full(CHANNELS, -300.0), np.full(CHANNELS, 300.0))
    plan = layer.solve(0)
    assert plan.form == "smmla_shift"
    assert len(set(plan.shift.tolist())) > 1
    layer.assert_equal(plan)
    with pytest.raises(ValueError, match="common shift"):
        _ = plan.immediate_shift


def test_ties_to_even_on_powers_of_two_are_no_line() -> None:
    layer = Layer(2)
    layer.rule = OnnxRequant(np.full(CHANNELS, 2.0**-9, np.float32), -128, -128, 127)
    plan = layer.solve(8)
    assert plan.form == "exact"
    layer.assert_equal(plan)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0, 8]), st.integers(-128, 127))
def test_exact_onnx_products_take_two_instructions_with_any_zero_point(seed: int, pre: int, zero_point: int) -> None:
    layer = Layer(seed, zero_point=zero_point)
    layer.rule = OnnxRequant(layer.scale.astype(np.float32), zero_point, -128, 127, "float64")
    plan = layer.solve(pre)
    assert plan.form == "smmla"
    layer.assert_equal(plan)


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([0, 8]), st.integers(-128, 127))
def test_single_rounding_takes_two_instructions_with_any_zero_point(seed: int, pre: int, zero_point: int) -> None:
    layer = Layer(seed, zero_point=zero_point)
    layer.rule = TfliteRequant(*quantize_multiplier(layer.scale), zero_point, -128, 127, single_rounding=True)
    plan = layer.solve(pre)
    assert plan.form == "smmla"
    layer.assert_equal(plan)


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([0, 17, 255]))
def test_uint8(seed: int, zero_point: int) -> None:
    layer = Layer(seed, zero_point=zero_point, low=0, high=255)
    plan = layer.solve(8)
    assert plan.unsigned
    assert plan.form != "exact"
    layer.assert_equal(plan)


@pytest.mark.parametrize(
    ("low", "high", "unsigned", "bits", "needs_clamp"),
    [
        (-128, 127, False, 8, False),
        (-128, 100, False, 8, True),
        (-127, 127, False, 8, True),
        (0, 255, True, 8, False),
        (0, 127, True, 7, False),  # a ReLU over symmetric int8 is USAT #7
        (0, 100, True, 7, True),
        (3, 255, True, 8, True),
        (-5, 3, False, 4, True),
    ],
)
def test_saturation(low: int, high: int, unsigned: bool, bits: int, needs_clamp: bool) -> None:
    layer = Layer(3, zero_point=max(low, 0), low=low, high=high)
    plan = layer.solve(8)
    assert (plan.unsigned, plan.saturate_bits, plan.needs_clamp) == (unsigned, bits, needs_clamp)
    layer.assert_equal(plan)


def test_constant_channels_ignore_their_accumulator() -> None:
    layer = Layer(4)
    layer.acc_min[:2], layer.acc_max[:2] = [-(2**31), 2**30], [-(2**30), 2**31 - 1]  # may wrap: nobody looks
    layer.base[:2] = 2**30
    plan = layer.solve(8)
    assert plan.form == "smmla"
    assert plan.constant.tolist() == [True, True] + [False] * 6
    assert plan.multiplier[:2].tolist() == [0, 0]
    assert plan.apply(np.full((1, CHANNELS), 12345))[0, :2].tolist() == [-128, 127]
    layer.assert_equal(plan)
    layer.assert_equal(layer.solve(8, forms=()))


@pytest.mark.parametrize("forms", [(), DSP_FORMS])
def test_a_layer_of_constants(forms: tuple[Form, ...]) -> None:
    layer = Layer(5, low=9, high=9, zero_point=9)
    plan = layer.solve(8, forms)
    assert np.all(plan.constant)
    assert layer.prove(plan) is None
    assert np.all(plan.apply(np.zeros((3, CHANNELS), np.int64)) == 9)


def test_the_caller_orders_the_forms() -> None:
    layer = Layer(6)
    assert layer.solve(8, forms=()).form == "exact"
    assert layer.solve(8, forms=("exact", "smmla")).form == "exact"
    assert layer.solve(8, forms=("smmla_shift", "smmla")).form == "smmla_shift"
    assert layer.solve(8, forms=("smmla_signed",)).form == "smmla_signed"


@pytest.mark.parametrize("zero_point", [-128, 3])
def test_a_fixed_start(zero_point: int) -> None:
    layer = Layer(7, zero_point=zero_point)
    plan = layer.solve(8, start_fixed=True)
    assert plan.form == ("smmla" if zero_point == -128 else "smmla_signed")
    assert np.array_equal(plan.start, layer.base << 8)
    layer.assert_equal(plan)


def test_solving_is_deterministic() -> None:
    first, second = Layer(8, zero_point=1).solve(8), Layer(8, zero_point=1).solve(8)
    for name in ("shift", "multiplier", "offset", "start", "sign_step"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("name", ["multiplier", "offset", "start", "sign_step", "shift"])
@pytest.mark.parametrize("step", [-1, 1])
def test_the_proof_notices_a_changed_constant(name: str, step: int) -> None:
    """By what no threshold tolerates: with pre = 8, a single unit may well be within the slack."""
    layer = Layer(9, zero_point=3)
    plan = layer.solve(8)
    assert plan.form == "smmla_signed"
    assert layer.prove(plan) is None
    unit = {"multiplier": 2**16, "start": 2**8, "offset": 64, "sign_step": 64, "shift": 1}[name]
    for channel in range(CHANNELS):
        changed = getattr(plan, name).copy()
        changed[channel] += step * unit
        assert layer.prove(replace(plan, **{name: changed})) is not None


def test_the_proof_notices_an_offset_that_is_one_off() -> None:
    """With pre = 0, the tolerance of 255 thresholds is less than one unit of C."""
    layer = Layer(10)
    plan = layer.solve(0)
    for channel in range(CHANNELS):
        for step in (-1, 1):
            offset = plan.offset.copy()
            offset[channel] += step
            reason = layer.prove(replace(plan, offset=offset))
            assert reason is not None
            assert reason.startswith(f"channel {channel}: the plan differs")


def test_the_proof_notices_one_wrong_end_of_the_range() -> None:
    layer = Layer(11)
    plan = layer.solve(8)
    layer.acc_max[3] = 2**23
    assert layer.prove(plan) == "channel 3: int32 overflow"
    layer.acc_max[3], layer.acc_min[5] = 2**20, -(2**24)
    assert layer.prove(plan) == "channel 5: int32 overflow"


def test_the_proof_notices_an_overflow_of_the_sum() -> None:
    layer = Layer(12)
    plan = layer.solve(8)
    offset = plan.offset.copy()
    offset[2] = 2**31 - 1
    assert layer.prove(replace(plan, offset=offset)) == "channel 2: int32 overflow"


def test_the_proof_wants_monotone_encodable_plans_of_this_rule() -> None:
    layer = Layer(13)
    plan = layer.solve(8)
    assert "monotone" in str(layer.prove(replace(plan, multiplier=-plan.multiplier)))
    assert "monotone" in str(layer.prove(replace(plan, sign_step=plan.sign_step - 1)))
    assert "encodable" in str(layer.prove(replace(plan, shift=plan.shift + 32)))
    assert "clamp" in str(layer.prove(replace(plan, low=0)))
    assert layer.prove(replace(plan, constant=~plan.constant)) is None, "only the exact form reads it"


def test_the_proof_distrusts_the_thresholds() -> None:
    class Wrong(TfliteRequant):
        def thresholds(self) -> np.ndarray:
            return super().thresholds() + 1

    layer = Layer(14)
    plan = layer.solve(8)
    rule = plan.rule
    assert isinstance(rule, TfliteRequant)
    layer.rule = Wrong(rule.multiplier, rule.shift, rule.zero_point, rule.low, rule.high)
    assert "contradict" in str(layer.prove(plan))


def test_mistakes_of_the_caller() -> None:
    layer = Layer(15)
    assert not np.all(fits(layer.rule, layer.acc_min, layer.acc_max, 20))
    with pytest.raises(ValueError, match="overflows"):
        layer.solve(20)
    with pytest.raises(ValueError, match="negative"):
        layer.solve(-1)
    with pytest.raises(ValueError, match="one entry per channel"):
        solve(layer.rule, layer.acc_min[1:], layer.acc_max, layer.base, 0)
    with pytest.raises(ValueError, match="empty"):
        solve(layer.rule, layer.acc_max, layer.acc_min, layer.base, 0)


@pytest.mark.parametrize("zero_point", [-128, 7])
def test_other_weights_have_the_shape_of_the_first_ones(zero_point: int) -> None:
    """Scales up to three times as large or much smaller, other sums: form and shift stay, and the plan is exact."""
    first = Layer(0, zero_point=zero_point)
    free = first.solve(8)
    plan = solve(first.rule, first.acc_min, first.acc_max, first.base, 8, latitude=Latitude())
    assert plan.immediate_shift == free.immediate_shift - Latitude.SPARE_BITS[0]
    assert plan.form == ("smmla" if zero_point == -128 else "smmla_signed")
    for seed in range(1, 25):
        other = Layer(seed, zero_point=zero_point, scale=float(np.random.default_rng(seed).uniform(5e-4, 6e-3)))
        fixed = Latitude(plan.shape_in_code)
        found = solve(other.rule, other.acc_min, other.acc_max, other.base, 8, latitude=fixed)
        assert found.shape_in_code == plan.shape_in_code, seed
        other.assert_equal(found)


def test_what_does_not_fit_a_shape_is_exact_in_the_long_form() -> None:
    plan = Layer(0).solve(8)
    larger = Layer(0, scale=0.5)
    found = solve(larger.rule, larger.acc_min, larger.acc_max, larger.base, 8, latitude=Latitude(plan.shape_in_code))
    assert found.form == "exact"
    assert largest_shift(larger.rule, larger.acc_min, larger.acc_max, 8) < plan.immediate_shift
    assert largest_shift(Layer(0).rule, Layer(0).acc_min, Layer(0).acc_max, 8) == plan.immediate_shift
