"""Bits and kernel of each layer by an integer programme: the least loss for the bytes and instructions granted.

One of several alternatives is chosen for each layer; losses, bytes and instructions add up over layers. It is solved
exactly, by OR-Tools' CP-SAT. Losses that add up are the model: noise of one layer doesn't know of another one's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import DoesNotFitError
from tinycompile.planner.cp_sat import cp_model

_LOSS_BITS, _TIE_BITS = 34, 20
"""The largest loss becomes an integer of so many bits; instructions, which count among equals, one of so many below."""

_SECONDS = 20.0


class TooManyBytesError(DoesNotFitError):
    """The layers' constants exceed their bytes with the fewest bits."""


@dataclass(frozen=True)
class Alternative:
    """What a layer may be.

    Attributes:
        loss: what it adds to the power of the outputs' error, as a part of their own.
        bytes: of its constants. instructions: of one inference.
        kernel: that these are of, for people.
    """

    bits: int
    loss: float
    bytes: int
    instructions: int
    kernel: str = ""


@dataclass(frozen=True)
class Choice:
    """An alternative for each layer, and what they come to."""

    chosen: Mapping[str, Alternative]

    @property
    def loss(self) -> float:
        return sum(each.loss for each in self.chosen.values())

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.chosen.values())

    @property
    def instructions(self) -> int:
        return sum(each.instructions for each in self.chosen.values())

    @property
    def bits(self) -> dict[str, int]:
        """Of the layers that have fewer than 8."""
        return {name: each.bits for name, each in self.chosen.items() if each.bits < 8}


_MORE_BYTES, _TIMES = 1.1, 1.5
"""A kernel is left out if one with at most so many times its bytes takes fewer instructions by such a factor."""


def sensible(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """Without kernels that save next to nothing and take much longer: portable ones beside those of the core."""
    return [
        each
        for each in alternatives
        if not any(
            a.bits == each.bits and a.bytes <= _MORE_BYTES * each.bytes and _TIMES * a.instructions < each.instructions
            for a in alternatives
        )
    ]


def useful(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """Without those that another one is no worse than in everything."""
    kept = list[Alternative]()
    for each in sorted(alternatives, key=lambda a: (a.loss, a.bytes, a.instructions, -a.bits)):
        if not any(k.bytes <= each.bytes and k.instructions <= each.instructions for k in kept):
            kept.append(each)
    return kept


def choose(
    alternatives: Mapping[str, Sequence[Alternative]], bytes_limit: int, instruction_limit: int | None = None
) -> Choice:
    """The least loss within the limits; among equals the fewest instructions.

    Args:
        bytes_limit: of all layers' constants. instruction_limit: of all layers; None for any number.

    Raises:
        DoesNotFitError: there is no such choice.
    """
    cp = cp_model()
    model: Any = cp.CpModel()
    kept = {name: useful(each) for name, each in alternatives.items()}
    picks = {name: [model.new_bool_var("") for _ in each] for name, each in kept.items()}
    for each in picks.values():
        model.add_exactly_one(each)
    pairs = [(a, pick) for name, each in kept.items() for a, pick in zip(each, picks[name], strict=True)]
    model.add(sum(a.bytes * pick for a, pick in pairs) <= bytes_limit)
    if instruction_limit is not None:
        model.add(sum(a.instructions * pick for a, pick in pairs) <= instruction_limit)
    largest = max((a.loss for a, _ in pairs), default=0.0) or 1.0
    most = max((a.instructions for a, _ in pairs), default=0) * len(kept) + 1
    costs = [
        (round(float(np.ldexp(a.loss / largest, _LOSS_BITS))) << _TIE_BITS) + (a.instructions << _TIE_BITS) // most
        for a, _ in pairs
    ]
    model.minimize(sum(cost * pick for cost, (_, pick) in zip(costs, pairs, strict=True)))
    solver = cp.CpSolver()
    solver.parameters.max_time_in_seconds = _SECONDS
    solver.parameters.num_workers = 1
    if solver.solve(model) not in (cp.OPTIMAL, cp.FEASIBLE):
        raise _impossible(kept, bytes_limit, instruction_limit)
    found = {
        name: next(a for a, pick in zip(each, picks[name], strict=True) if solver.value(pick))
        for name, each in kept.items()
    }
    return Choice(found)


def _impossible(
    kept: Mapping[str, Sequence[Alternative]], bytes_limit: int, instruction_limit: int | None
) -> DoesNotFitError:
    least = sum(min(a.bytes for a in each) for each in kept.values())
    fastest = sum(min(a.instructions for a in each) for each in kept.values())
    if least > bytes_limit:
        text = f"the layers' weights take {least:,} bytes with the fewest bits, {bytes_limit:,} are granted"
        return TooManyBytesError(text, hint=f"grant {least:,} bytes, or use a smaller network")
    if instruction_limit is not None and fastest > instruction_limit:
        text = f"the layers take {fastest:,} instructions with the fastest kernels, {instruction_limit:,} are granted"
        return DoesNotFitError(text, hint="grant more instructions")
    text = f"no bits for the layers take at most {bytes_limit:,} bytes and {instruction_limit:,} instructions"
    return DoesNotFitError(text, hint="grant more of either")
