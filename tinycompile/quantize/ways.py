"""The ways to quantise a graph that are tried, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from tinycompile.ir import Array
from tinycompile.progress import step
from tinycompile.quantize.alignment import aligned
from tinycompile.quantize.calibration import spread
from tinycompile.quantize.channels import norms_of
from tinycompile.quantize.equalize import equalized
from tinycompile.quantize.execution import Sample
from tinycompile.quantize.fitting import Fitted, fitted
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.folds import Extremes
from tinycompile.quantize.headroom import roomy
from tinycompile.quantize.low_bit_layers import LowBitPlan
from tinycompile.quantize.network import Network, Setting, decibels
from tinycompile.quantize.pinned import PINNED
from tinycompile.quantize.qdq import Parameters, QdqModel, quantized_values, to_qdq
from tinycompile.quantize.ranges import Observed, clipped_part, is_crowded, range_of, scale_of
from tinycompile.quantize.search import Ranges, samples_for
from tinycompile.quantize.survey import surveyed
from tinycompile.quantize.wide import Costs, wide_grid, widened

AUTO = "auto"
"""Ranges are chosen by what they do to the outputs."""
EXPONENTS = {"default": (0.0, 0.5), "high": (0.0, 0.25, 0.5, 0.75)}
"""How far channels are evened out (`equalize.py`), by effort."""
ROUNDS = {"default": 1, "high": 3}
"""How often all ranges are gone through."""
_MOST_NORMS = 32
"""Whose exponents are looked at one by one."""
_COSTLY = 1 / 512
"""Part of a channel's largest output, half a step of 8 bits, from which on what raising a scale costs is a warning."""
_CLIPPED = 0.001
"""Part of a tensor's values beyond a pinned range from which on they are a warning."""


@dataclass(frozen=True)
class Trial:
    """One way to quantise, and the SQNR of the worst output in dB, each calibration sample with ranges from others.

    Attributes:
        weights: how weights of fewer bits were found, in words.
        activation_aware: behind channels that are scaled for these.
        wide: tensors that have 16 bits. wide_part: of all products, those that such tensors are read or made by.
    """

    method: str
    equalized: bool
    bias_corrected: bool
    rounded: bool
    sqnr: float
    room: bool = False
    wide: tuple[str, ...] = ()
    wide_part: float = 0.0
    weights: str = ""
    activation_aware: bool = False

    def describe(self) -> str:
        parts = ["ranges by their effect on the outputs" if self.method == AUTO else self.method]
        parts += ["equalised"] if self.equalized else []
        parts += ["bias corrected"] if self.bias_corrected else []
        parts += ["weights rounded together"] if self.rounded else []
        parts += ["with room in the ranges"] if self.room else []
        parts += [f"{len(self.wide)} tensor{'s' if len(self.wide) > 1 else ''} of 16 bits"] if self.wide else []
        parts += ["channels scaled by activations"] if self.activation_aware else []
        parts += [self.weights] if self.weights else []
        return f"{', '.join(parts)}: {self.sqnr:.2f} dB"


@dataclass(frozen=True, eq=False)
class Attempt:
    """A trial with what it consists of."""

    trial: Trial
    network: Network
    parameters: Parameters
    fitted: Fitted
    observed: Mapping[str, Observed]
    ranges: Ranges
    plan: LowBitPlan | None = None

    @property
    def wide(self) -> frozenset[str]:
        """The tensors that have 16 bits."""
        return self.fitted.setting.wide

    @cached_property
    def model(self) -> QdqModel:
        graph = self.network.graph.copy()
        for node in graph.nodes:
            bias = self.fitted.biases.get(node.output[0])
            if bias is not None:
                node.input[2] = graph.constant(f"{node.input[2]}_corrected", bias)
        return to_qdq(graph, self.parameters, self.fitted.rounded, self.wide, self.fitted.coded)

    def refitted(self, parameters: Parameters) -> Attempt:
        """The same way with other scales, weights and biases fitted to them."""
        setting = Setting(parameters, wide=self.wide)
        found = fitted(self.network, setting, weights=self.trial.rounded, plan=self.plan)
        return replace(self, parameters=parameters, fitted=found)

    def on_graph(self, graph: FloatGraph, samples: Sequence[Sample]) -> Attempt:
        """The same way for a graph of the same function, with ranges of its own; weights and biases aren't fitted."""
        network, method = Network(graph, samples), self.trial.method
        base = _base(network, samples, np.arange(len(samples)), method, equalized_too=self.trial.equalized)
        parameters = {**_parameters(base, method), **{name: self.parameters[name] for name in self.wide}}
        setting = Setting(parameters, wide=self.wide)
        start = Fitted(setting, {})
        return replace(
            self, network=network, parameters=parameters, fitted=start, observed=base.observed, ranges=base.ranges
        )

    def judged(self, samples: Sequence[Sample]) -> float:
        """SQNR of the worst output in dB on other samples, as many as the network has."""
        network = self.network.on(spread(samples, self.network.count))
        return decibels(network.noise(network.run(replace(self.fitted.setting, activations=self.parameters))))

    def warnings(self) -> list[str]:
        """What is unusual about it."""
        found = list[str]()
        for name, (scale, zero_point) in self.parameters.items():
            observed = self.observed[name]
            part = clipped_part(observed, scale, zero_point)
            if observed.high == observed.low:
                found.append(f"tensor {name!r} is zero for every sample, so that its range is a guess")
            elif name not in self.wide and is_crowded(observed, scale, zero_point):
                found.append(
                    f"nearly all values of tensor {name!r} are the same 8-bit number: its range from "
                    f"{observed.low:.3g} to {observed.high:.3g} is that of a few outliers"
                )
            elif self.trial.method == PINNED and part > _CLIPPED:
                found.append(f"{part:.2%} of the values of tensor {name!r} are beyond the range of the old build")
        return found + [each.describe() for each in self.model.raised if each.relative_error > _COSTLY]


@dataclass(frozen=True, eq=False)
class _Base:
    """A graph that computes the float model, with samples."""

    network: Network
    ranges: Ranges
    observed: Mapping[str, Observed]
    equalized: bool

    def unseen(self, setting: Setting, method: str) -> Setting:
        return self.ranges.unseen(setting) if method == AUTO else setting


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A graph with evened channels, and the noise of its outputs when it is quantised simply."""

    noise: float
    base: _Base
    start: Fitted
    exponent: float


def attempts(
    graph: FloatGraph,
    samples: Sequence[Sample],
    judged: Sequence[Sample],
    method: str,
    effort: str,
    pinned: Parameters | None,
    room: bool,
    *,
    equalising: bool = True,
) -> list[Attempt]:
    """What was tried, the best first.

    Args:
        graph: prepared, with biases.
        judged: other samples, on which a greater effort has to be better than the default's.
        method: `AUTO`, or a key of `ranges.METHODS`; nothing where scales are pinned.
        effort: a key of `EXPONENTS`.
        equalising: whether channels may be evened out.
    """
    exponents = EXPONENTS if equalising else dict.fromkeys(EXPONENTS, (0.0,))
    method = method if pinned is None else PINNED
    elements = sum(prod(shape) for name, shape in graph.shapes.items() if name not in graph.constants)
    count = samples_for(elements, len(quantized_values(graph)), len(samples))
    chosen = np.unique(np.linspace(0, len(samples) - 1, count).astype(int))
    few = [samples[int(i)] for i in chosen]
    step(f"calibrating: the float model on {len(samples)} samples")
    base = _base(Network(graph, few), samples, chosen, method, equalized_too=False)
    if pinned is not None:
        base = _base(Network(aligned(graph, base.observed, pinned), few), samples, chosen, method, equalized_too=False)
        return _finished(base, method, pinned, [])
    candidates, tried = list[_Candidate](), list[Attempt]()
    for number, exponent in enumerate(exponents[effort], 1):
        step(f"calibrating: equalisation, {number} of {len(exponents[effort])}")
        if exponent:
            even = equalized(graph, {name: base.network.floats[name] for name in base.observed}, exponent)
            each = _base(Network(even, few), samples, chosen, method, equalized_too=True)
        else:
            each = base
        parameters = _parameters(each, method)
        start = fitted(each.network, each.unseen(Setting(parameters), method), weights=False)
        noise = each.network.noise(start.values)
        candidates.append(_Candidate(noise, each, start, exponent))
        trial = Trial(method, bool(exponent), True, False, decibels(noise))
        tried.append(Attempt(trial, each.network, parameters, start, each.observed, each.ranges))
    found = list[list[Attempt]]()
    for level in dict.fromkeys(("default", effort)):
        chosen_one = min((c for c in candidates if c.exponent in exponents[level]), key=lambda each: each.noise)
        if method == AUTO:
            chosen_one = _by_norm(graph, chosen_one, candidates[0], exponents[level], samples, chosen)
        base = chosen_one.base
        if method == AUTO:
            base = _searched(base, chosen_one.start, ROUNDS[level])
        found.append(_finished(base, method, _parameters(base, method), tried))
    best = found[0] if len(found) == 1 else max(found, key=lambda each: each[0].judged(judged))
    if room:
        return [_with_room(best[0]), *best]
    if effort == "high" and method == AUTO:
        wider = _with_wide(best[0], judged)
        return best if wider is best[0] else [wider, *best]
    return best


def _by_norm(
    graph: FloatGraph,
    best: _Candidate,
    plain: _Candidate,
    exponents: Sequence[float],
    samples: Sequence[Sample],
    chosen: Array,
) -> _Candidate:
    """With an exponent of its own for what each normalisation makes, as long as the outputs become better.

    Args:
        plain: without equalisation. exponents: that are tried.
    """
    names = [norm.output[0] for norm in norms_of(graph)]
    if len(exponents) < 2 or len(names) > _MOST_NORMS:
        return best
    strengths = dict[str, float]()
    values = {name: plain.base.network.floats[name] for name in plain.base.observed}
    for number, name in enumerate(names, 1):
        step(f"calibrating: equalisation behind normalisations, {number} of {len(names)}")
        for exponent in exponents:
            if exponent == strengths.get(name, best.exponent):
                continue
            tried = {**strengths, name: exponent}
            even = equalized(graph, values, best.exponent, tried)
            few = [samples[int(i)] for i in chosen]
            each = _base(Network(even, few), samples, chosen, AUTO, equalized_too=True)
            start = fitted(each.network, each.unseen(Setting(_parameters(each, AUTO)), AUTO), weights=False)
            noise = each.network.noise(start.values)
            if noise < best.noise:
                best, strengths = _Candidate(noise, each, start, best.exponent), tried
    return best


def _base(network: Network, samples: Sequence[Sample], chosen: Array, method: str, equalized_too: bool) -> _Base:
    extremes, observed = surveyed(network, samples)
    if method == AUTO:
        return _Base(network, Ranges.expected(network, extremes, chosen), observed, equalized_too)
    return _Base(network, Ranges(extremes, {}, chosen), observed, equalized_too)


def _parameters(base: _Base, method: str) -> dict[str, tuple[float, int]]:
    if method == AUTO:
        return base.ranges.parameters()
    if method == PINNED:
        return {}
    return {name: _by_method(base.ranges.extremes[name], found, method) for name, found in base.observed.items()}


def _by_method(extremes: Extremes, observed: Observed, method: str) -> tuple[float, int]:
    low, high = range_of(observed, method)
    return scale_of(max(low, extremes.bounds[0]), min(high, extremes.bounds[1]))


def _searched(base: _Base, start: Fitted, rounds: int) -> _Base:
    """With ranges that make the outputs better."""
    setting = start.setting
    for number in range(rounds):
        if number:
            step(f"calibrating: ranges, round {number + 1} of {rounds}")
            setting = fitted(base.network, base.ranges.unseen(Setting({}))).setting
        base = replace(base, ranges=base.ranges.improved(base.network, setting))
    return base


def _finished(base: _Base, method: str, parameters: Parameters, tried: Sequence[Attempt]) -> list[Attempt]:
    """With fitted weights, and without; and what was tried before."""
    step("calibrating: weights")
    found = list[Attempt]()
    for weights in (True, False):
        result = fitted(base.network, Setting(parameters), weights=weights)
        noise = base.network.noise(base.network.run(base.unseen(result.setting, method)))
        trial = Trial(method, base.equalized, True, weights, decibels(noise))
        found.append(Attempt(trial, base.network, parameters, result, base.observed, base.ranges))
    found.sort(key=lambda attempt: -attempt.trial.sqnr)
    return [*found, *sorted(tried, key=lambda attempt: -attempt.trial.sqnr)]


def _with_room(attempt: Attempt) -> Attempt:
    """The same way, with ranges that have room for the values of other weights."""
    step("calibrating: room for other weights")
    network, setting = attempt.network, attempt.fitted.setting

    def measure(parameters: Parameters) -> float:
        return decibels(network.noise(network.run(replace(setting, activations=parameters))))

    found = roomy(network.graph, attempt.parameters, attempt.observed, measure)
    result = replace(attempt.fitted, setting=replace(setting, activations=found))
    trial = replace(attempt.trial, sqnr=measure(found), room=True)
    return replace(attempt, trial=trial, parameters=found, fitted=result)


def _with_wide(attempt: Attempt, judged: Sequence[Sample]) -> Attempt:
    """The same way with 16 bits for some tensors, where that is better on other samples; else the way itself."""
    network, extremes = attempt.network, attempt.ranges.extremes

    def model(setting: Setting) -> QdqModel:
        parameters = {name: (float(scale), int(zero)) for name, (scale, zero) in setting.activations.items()}
        return replace(attempt, parameters=parameters, fitted=replace(attempt.fitted, setting=setting)).model

    others = network.on(spread(judged, network.count))
    narrow = replace(attempt.fitted.setting, activations=attempt.parameters)
    wide = widened(others, narrow, extremes, model).wide
    parameters = {**attempt.parameters, **{name: wide_grid(extremes[name]) for name in wide}}
    result = fitted(network, Setting(parameters, wide=wide), weights=attempt.trial.rounded)
    setting = attempt.ranges.unseen(result.setting)
    setting = replace(setting, activations={**setting.activations, **{name: parameters[name] for name in wide}})
    noise = network.noise(network.run(setting))
    trial = replace(
        attempt.trial,
        sqnr=decibels(noise),
        wide=tuple(name for name in extremes if name in wide),
        wide_part=Costs(network).part(wide),
    )
    found = replace(attempt, trial=trial, parameters=parameters, fitted=result)
    return max(attempt, found, key=lambda each: each.judged(judged))
