"""The integer programme against all choices there are, and what it says where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, cast

import numpy as np
import pytest

from tests.mixed_precision import nets
from tinycompile.errors import DoesNotFitError
from tinycompile.mixed_precision.choice import Alternative, Choice, Levels, choose, smallest
from tinycompile.mixed_precision.int8_model import Int8Model
from tinycompile.mixed_precision.measure import Measured, Samples
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.search import CLEAR, Fitted, Search, Written
from tinycompile.mixed_precision.tflite_file import TfliteFile
from tinycompile.targets import load_board

_CODE = {(bits, which): 40 * (9 - bits) + 30 * which for bits in (8, 4, 3, 2) for which in (0, 1)}
"""Two functions for each number of bits, which two layers each may share."""


def _random(seed: int) -> dict[str, list[Alternative]]:
    random = np.random.default_rng(seed)
    return {
        str(layer): [
            Alternative(
                bits,
                0.0 if bits == 8 else float(random.exponential(2.0 ** (8 - bits))),
                int(size),
                int(work),
                function=f"{bits}_{layer % 2}",
                code=_CODE[bits, layer % 2],
            )
            for bits, (size, work) in zip((8, 4, 3, 2), random.integers(1, 1000, (4, 2)), strict=True)
        ]
        for layer in range(4)
    }


@pytest.mark.parametrize("with_code", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_choice_within_the_limits_loses_less(seed: int, with_code: bool) -> None:
    found = _random(seed)
    bytes_limit, instruction_limit = 2200 if with_code else 1400, 2200
    every = [Choice(dict(zip(found, each, strict=True))) for each in product(*found.values())]
    size = {id(each): each.flash if with_code else each.bytes for each in every}
    best = choose(found, bytes_limit, instruction_limit, with_code=with_code)
    assert (best.flash if with_code else best.bytes) <= bytes_limit and best.instructions <= instruction_limit
    losses = [each.loss for each in every if size[id(each)] <= bytes_limit and each.instructions <= instruction_limit]
    assert best.loss == pytest.approx(min(losses), rel=1e-6)
    least = smallest(found, with_code=with_code)
    assert (least.flash if with_code else least.bytes) == min(size.values())


@pytest.mark.parametrize("seed", range(3))
def test_bits_and_channels_are_chosen_together(seed: int) -> None:
    """Of two classes of channels, one between the first two layers, one that the last two read and make."""
    random = np.random.default_rng(seed)
    losses = {name: [0.0, *np.sort(random.exponential(20, 2)).tolist()] for name in "ab"}
    levels = Levels(losses, dict.fromkeys("ab", (0, 4, 8)), {"1": "a", "2": "b"}, {"0": "a", "1": "b", "2": "b"}, 4)
    found = {
        layer: [
            Alternative(bits, 3.0 * (8 - bits), int(size), int(work), reads=reads, makes=makes)
            for bits in (8, 4)
            for reads in range(3 if layer in levels.reads else 1)
            for makes in range(3)
            for size, work in random.integers(100, 1000, (1, 2))
        ]
        for layer in "012"
    }
    limits = 1200, 2000
    best = choose(found, *limits, levels=levels)
    assert best.bytes <= limits[0] and best.instructions <= limits[1]
    totals = list[float]()
    for at in product(range(3), repeat=2):
        number = dict(zip("ab", at, strict=True))
        if sum(levels.removed[name][level] for name, level in number.items()) < 4:
            continue
        fitting = [
            [
                a
                for a in found[layer]
                if a.reads == number.get(levels.reads.get(layer, ""), 0) and a.makes == number[levels.makes[layer]]
            ]
            for layer in found
        ]
        totals += [
            sum(a.loss for a in each) + sum(losses[name][level] for name, level in number.items())
            for each in product(*fitting)
            if sum(a.bytes for a in each) <= limits[0] and sum(a.instructions for a in each) <= limits[1]
        ]
    assert best.loss == pytest.approx(min(totals), rel=1e-6)
    assert best.channel_loss == sum(losses[name][level] for name, level in best.levels.items())
    assert [best.chosen["0"].makes, best.chosen["1"].reads] == [best.levels["a"]] * 2


@pytest.mark.parametrize("with_code", [False, True])
def test_limits_that_nothing_meets_are_refused_with_what_is_needed(with_code: bool) -> None:
    found = _random(0)
    fewest = smallest(found, with_code=with_code)
    least = fewest.flash if with_code else fewest.bytes
    again = choose(found, least, with_code=with_code)
    assert (again.flash if with_code else again.bytes) == least
    text = f"weights,? ?.*take {least:,} bytes with the fewest bits, {least - 1:,} are granted"
    with pytest.raises(DoesNotFitError, match=text):
        choose(found, least - 1, with_code=with_code)
    with pytest.raises(DoesNotFitError, match="instructions with the fastest kernels, 1 are granted"):
        choose(found, 1 << 30, 1, with_code=with_code)


def test_a_function_that_is_there_already_makes_other_layers_smaller() -> None:
    """8 bits by a function of each layer's own, or 4 by one that all share and that only pays for two of them."""
    own = [Alternative(8, 0.0, 1000, 10, function=f"own{i}", code=100) for i in range(3)]
    shared = Alternative(4, 1.0, 600, 12, function="shared", code=700)
    for layers, bits in ((1, {}), (3, dict.fromkeys("012", 4))):
        alternatives = {str(i): [own[i], shared] for i in range(layers)}
        assert smallest(alternatives, with_code=True).bits == bits
        assert smallest(alternatives).bits == dict.fromkeys(alternatives, 4)


def test_a_network_gets_the_bits_that_its_bytes_allow() -> None:
    network = Network(nets.graph())
    values = network.inputs({"x": nets.samples(40)})
    parts = [{"x": values["x"][part]} for part in (slice(24), slice(24, 40))]
    samples = Samples(*parts, labels=None, measured_on="16 samples")
    layers = [name for name, layer in network.layers.items() if not layer.is_depthwise]
    model = Int8Model(TfliteFile(nets.content(), network.graph, network.layers), network, samples)
    search = Search(network, model, load_board("stm32f746").core, layers, (4,))
    assert {a.bits for each in search.alternatives.values() for a in each} == {4, 8}
    front = search.front(3)
    assert [choice.bytes for choice in front] == sorted((choice.bytes for choice in front), reverse=True)
    assert [choice.loss for choice in front] == sorted(choice.loss for choice in front)
    fit = search.fit(front[-1])
    assert fit.choice.bits == dict.fromkeys(search.alternatives, 4) and fit.measured.sqnr > 10
    limit = (front[0].bytes + front[-1].bytes) // 2
    same, chosen = search.uniform(limit), search.choice(limit)
    assert same is not None and same.bits == fit.choice.bits != chosen.bits
    assert search.best(limit).measured.order == max(search.fit(chosen).measured.order, fit.measured.order)
    assert search.uniform(fit.choice.bytes - 1) is None


@dataclass
class _Stub:
    """A model whose layers lose ever less, and whose losses with many layers at once are given."""

    ahead: float
    noises: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])
    fits: list[int] = field(default_factory=list[int])
    measured_on: str = ""

    def tried(self, layers: Sequence[str], widths: Sequence[int]) -> _Stub:
        self.noises = {(name, bits): 10.0 ** -(at + bits) for at, name in enumerate(layers) for bits in widths}
        return self

    def together(self, bits: Mapping[str, int]) -> float:
        return 0.01 if len(bits) > 1 else 0.01 * 10 ** (-self.ahead / 10)

    def fitted(self, bits: Mapping[str, int], method: str = "learned") -> Fitted:
        self.fits.append(len(bits))
        return Fitted(Measured(float(len(bits)), None, None), lambda: Written(b""))


@pytest.mark.parametrize(("ahead", "fits"), [(CLEAR + 1, [1]), (CLEAR - 1, [1, 3]), (-9.0, [1, 3])])
def test_the_same_bits_for_all_layers_are_fitted_unless_the_choice_is_clearly_better(
    ahead: float, fits: list[int]
) -> None:
    network, stub = Network(nets.graph()), _Stub(ahead)
    layers = [name for name, layer in network.layers.items() if not layer.is_depthwise]
    search = Search(network, stub, load_board("stm32f746").core, layers, (4,))
    found = search.best(search.smallest_8_bits - 1)
    assert stub.fits == fits and len(found.choice.bits) == max(fits)
    search.fit(found.choice)
    assert stub.fits == fits  # once


@pytest.mark.parametrize(
    ("measured", "loss", "text"),
    [
        (Measured(20.0, 0.75, None), 0.25, "75.0% the same choice"),
        (Measured(20.0, None, None), None, "SQNR 20.0 dB"),
        (Measured(20.0, 0.5, (0.75, 0.5)), 0.25, "accuracy 50.00% of 75.00%"),
    ],
)
def test_what_is_lost_is_accuracy_where_there_are_labels(measured: Measured, loss: float | None, text: str) -> None:
    assert measured.loss == loss and text in measured.describe()


class _Dearer:
    """Exact prices of which only those of the fewest bytes are what was interpolated."""

    def of(self, choice: Choice) -> Choice:
        more = {name: replace(a, bytes=a.bytes + (30 if a.bytes > 10 else 0)) for name, a in choice.chosen.items()}
        return replace(choice, chosen=more)


@pytest.mark.parametrize("limit", [10, 12, 39, 45, 70, 129])
def test_prices_that_were_interpolated_too_low_end_in_the_fewest_bytes_at_worst(limit: int) -> None:
    search = Search(Network(nets.graph()), cast(Any, None), load_board("host").core, [])
    every = [Alternative(8, 0.0, 100, 1), *(Alternative(4, 1 / size, size, 1) for size in range(99, 9, -1))]
    search.__dict__.update(priced={"a": every}, alternatives={"a": every}, _exact_prices=_Dearer(), _kept={})
    found = search.choice(limit)
    assert search.size(found) <= limit
    with pytest.raises(DoesNotFitError):
        search.choice(9)
