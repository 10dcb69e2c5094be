"""The bits of each layer's weights, as a user asks for them; and a way to quantise with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinycompile.errors import UsageError
from tinycompile.progress import step
from tinycompile.quantize.awq import activation_aware
from tinycompile.quantize.calibration import spread
from tinycompile.quantize.execution import Sample
from tinycompile.quantize.fitting import fitted
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.low_bit_layers import WEIGHT_CHOICES, LowBitPlan, WeightChoice, parts_of
from tinycompile.quantize.low_bits import WEIGHT_BITS
from tinycompile.quantize.network import Setting, decibels
from tinycompile.quantize.qdq import linear_layers
from tinycompile.quantize.ways import Attempt

_MOST_SAMPLES = 256
_MOST_ELEMENTS = 4 * 10**7
"""Of all values of all samples together: 160 MB for each of the copies that there are at a time."""


@dataclass(frozen=True)
class WeightBits:
    """What a user asks for.

    Attributes:
        bits: of all layers' weights but depthwise convolutions', which have 8; or by the name of a layer, which is its
            node's or its result's, 8 for all others.
        group: so many input channels have one scale, in layers whose windows are single pixels; None for all of them.
        method: "nearest", "awq", "learned", or "auto" for the best of them on samples that are kept back.
    """

    bits: int | Mapping[str, int]
    group: int | None = None
    method: str = "auto"

    def check(self) -> None:
        """Raises UsageError."""
        given = [self.bits] if isinstance(self.bits, int) else list(self.bits.values())
        wrong = [each for each in given if each not in WEIGHT_BITS]
        if wrong:
            raise UsageError(
                f"--weight-bits {wrong[0]} is unknown", hint=f"one of: {', '.join(map(str, reversed(WEIGHT_BITS)))}"
            )
        if self.method not in WEIGHT_CHOICES:
            raise UsageError(f"--method {self.method!r} is unknown", hint=f"one of: {', '.join(WEIGHT_CHOICES)}")
        if self.group is not None and self.group < _LEAST_GROUP:
            raise UsageError(
                f"--group {self.group} is too small",
                why="a scale has 8 bits or more itself",
                hint=f"{_LEAST_GROUP} or more; 32 is usual",
            )

    def used(self) -> set[int]:
        """All bits that layers may have."""
        return {self.bits} if isinstance(self.bits, int) else set(self.bits.values())

    def plan(self, graph: FloatGraph, where: str) -> LowBitPlan:
        """For the layers of a prepared graph. Raises UsageError for a name that no layer has."""
        layers = linear_layers(graph)
        method: WeightChoice = next(each for each in WEIGHT_CHOICES if each == self.method)
        if isinstance(self.bits, int):
            found = {node.output[0]: self.bits for node in layers if not _is_depthwise(node)}
        else:
            names = {name: node.output[0] for node in layers for name in (node.name, node.output[0])}
            unknown = [name for name in self.bits if name not in names]
            if unknown:
                raise UsageError(
                    f"{where}: --weight-bits names {unknown[0]!r}, which isn't a layer with constant weights",
                    hint=f"layers: {', '.join(node.output[0] for node in layers)}",
                )
            found = {names[name]: bits for name, bits in self.bits.items()}
        return LowBitPlan({name: bits for name, bits in found.items() if bits < 8}, self.group, method)

    def applied(self, attempt: Attempt, samples: Sequence[Sample], judged: Sequence[Sample], where: str) -> Attempt:
        """A way to quantise with these weights. Raises UsageError for a name that no layer has."""
        return with_low_bits(attempt, samples, judged, self.plan(attempt.network.graph, where))


_LEAST_GROUP = 8


def _is_depthwise(node: Any) -> bool:
    """Of whose products each output has a window of one channel: few weights, which count much."""
    return parts_of(node) > 1


def with_low_bits(attempt: Attempt, samples: Sequence[Sample], judged: Sequence[Sample], plan: LowBitPlan) -> Attempt:
    """The same way with weights of few bits, fitted to more samples.

    Args:
        judged: samples that decide between methods of the whole network.
    """
    elements = sum(value.size for value in attempt.network.floats.values()) // max(1, attempt.network.count)
    most = max(attempt.network.count, min(_MOST_SAMPLES, _MOST_ELEMENTS // max(1, elements)))
    few = spread(samples, most)
    plain = replace(attempt, network=attempt.network.on(few))
    found = [_fitted(plain, replace(plan, method=method)) for method in _PLAIN[plan.method]]
    if plan.method in ("auto", "awq"):
        step("calibrating: weights of few bits, scaled by activations")
        graph = activation_aware(plain.network.graph, plain.network.floats, plan)
        aware = replace(plain.on_graph(graph, few), trial=replace(plain.trial, activation_aware=True))
        found.append(_fitted(aware, replace(plan, method="awq" if plan.method == "awq" else "learned")))
    return max(found, key=lambda each: each.judged(judged))


_PLAIN: Mapping[str, tuple[WeightChoice, ...]] = {
    "nearest": ("nearest",),
    "learned": ("learned",),
    "auto": ("auto", "learned"),
    "awq": (),
}
"""What is tried on a network whose channels stay as they are."""


def _fitted(attempt: Attempt, plan: LowBitPlan) -> Attempt:
    """With weights and biases of a plan."""
    step(f"calibrating: weights of few bits, {plan.method}")
    network = attempt.network
    result = fitted(network, Setting(attempt.parameters, wide=attempt.wide), weights=attempt.trial.rounded, plan=plan)
    noise = network.noise(network.run(result.setting))
    trial = replace(attempt.trial, weights=described(result.coded), sqnr=decibels(noise))
    return replace(attempt, fitted=result, trial=trial, plan=plan)


def described(coded: Mapping[str, Any]) -> str:
    """How many layers have how many bits by which method, for a line with others."""
    counts = Counter((each.bits, each.method) for each in coded.values())
    parts = [f"{count} with {bits} bits {method}" for (bits, method), count in sorted(counts.items())]
    return f"weights of {len(coded)} layers: {', '.join(parts)}" if parts else ""
