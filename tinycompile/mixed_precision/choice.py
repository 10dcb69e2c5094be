"""Bits and kernel of each layer by an integer programme: the least loss for the bytes and instructions granted.

One of several alternatives is chosen for each layer; losses, bytes and instructions add up over layers. Where channels
can be removed, a level is chosen for each class of them as well, and each layer's alternative is one for the levels of
what it reads and makes. It is solved exactly, by OR-Tools' CP-SAT. Losses that add up are the model: noise of one layer
doesn't know of another one's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
        reads, makes: the levels of its operand's and its result's channels; 0 has all of them.
    """

    bits: int
    loss: float
    bytes: int
    instructions: int
    kernel: str = ""
    reads: int = 0
    makes: int = 0


@dataclass(frozen=True)
class Levels:
    """Numbers of channels to choose from, by class; the first has all of them.

    Attributes:
        losses: what each level adds to the power of the outputs' error. removed: channels that it does without.
        reads, makes: the class of a layer's operand and of its result, where there is one.
    """

    losses: Mapping[str, Sequence[float]]
    removed: Mapping[str, Sequence[int]]
    reads: Mapping[str, str]
    makes: Mapping[str, str]

    @property
    def most(self) -> int:
        """Channels that can be removed."""
        return sum(max(each) for each in self.removed.values())


_NO_LEVELS = Levels({}, {}, {}, {})


@dataclass(frozen=True)
class Choice:
    """An alternative for each layer, and what they come to.

    Attributes:
        levels: by class of channels. channel_loss: of all of them.
    """

    chosen: Mapping[str, Alternative]
    levels: Mapping[str, int] = field(default_factory=dict[str, int])
    channel_loss: float = 0.0

    @property
    def loss(self) -> float:
        return self.channel_loss + sum(each.loss for each in self.chosen.values())

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
            _same(a, each)
            and a.bits == each.bits
            and a.bytes <= _MORE_BYTES * each.bytes
            and _TIMES * a.instructions < each.instructions
            for a in alternatives
        )
    ]


def useful(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """Without those that another one is no worse than in everything."""
    kept = list[Alternative]()
    for each in sorted(alternatives, key=lambda a: (a.loss, a.bytes, a.instructions, -a.bits)):
        if not any(_same(k, each) and k.bytes <= each.bytes and k.instructions <= each.instructions for k in kept):
            kept.append(each)
    return kept


def _same(one: Alternative, other: Alternative) -> bool:
    """Whether both are for the same channels."""
    return (one.reads, one.makes) == (other.reads, other.makes)


def choose(
    alternatives: Mapping[str, Sequence[Alternative]],
    bytes_limit: int,
    instruction_limit: int | None = None,
    levels: Levels | None = None,
    least_removed: int = 0,
) -> Choice:
    """The least loss within the limits; among equals the fewest instructions.

    Args:
        bytes_limit: of all layers' constants. instruction_limit: of all layers; None for any number.
        levels: of channels; with None all stay. least_removed: channels of all classes together.

    Raises:
        DoesNotFitError: there is no such choice.
    """
    cp = cp_model()
    model: Any = cp.CpModel()
    levels = levels or _NO_LEVELS
    kept = {name: useful(each) for name, each in alternatives.items()}
    picks = {name: [model.new_bool_var("") for _ in each] for name, each in kept.items()}
    steps = {name: [model.new_bool_var("") for _ in each] for name, each in levels.losses.items()}
    for each in (*picks.values(), *steps.values()):
        model.add_exactly_one(each)
    for name, each in kept.items():
        _link(model, picks[name], steps, levels.reads.get(name), [a.reads for a in each])
        _link(model, picks[name], steps, levels.makes.get(name), [a.makes for a in each])
    pairs = [(a, pick) for name, each in kept.items() for a, pick in zip(each, picks[name], strict=True)]
    gone = [pair for name, each in steps.items() for pair in zip(levels.removed[name], each, strict=True)]
    model.add(sum(a.bytes * pick for a, pick in pairs) <= bytes_limit)
    if instruction_limit is not None:
        model.add(sum(a.instructions * pick for a, pick in pairs) <= instruction_limit)
    if least_removed:
        model.add(sum(count * pick for count, pick in gone) >= least_removed)
    found = _solved(
        cp, model, pairs, [p for n, each in steps.items() for p in zip(levels.losses[n], each, strict=True)]
    )
    if found is None:
        raise _impossible(kept, bytes_limit, instruction_limit)
    chosen = {name: next(a for a, p in zip(each, picks[name], strict=True) if found(p)) for name, each in kept.items()}
    at = {name: next(index for index, pick in enumerate(each) if found(pick)) for name, each in steps.items()}
    return Choice(chosen, at, sum(levels.losses[name][index] for name, index in at.items()))


def _link(
    model: Any,
    picks: Sequence[Any],
    steps: Mapping[str, Sequence[Any]],
    channels: str | None,
    at: Sequence[int],
) -> None:
    """A layer's alternative is one for the level of a class of channels.

    Args:
        at: that each alternative is for.
    """
    for number, step in enumerate(steps[channels] if channels is not None else []):
        model.add(sum(pick for pick, level in zip(picks, at, strict=True) if level == number) == step)


def _solved(
    cp: Any, model: Any, pairs: Sequence[tuple[Alternative, Any]], steps: Sequence[tuple[float, Any]]
) -> Callable[[Any], bool] | None:
    """Whether a variable is chosen, where the loss of alternatives and levels is least; None if nothing is possible."""
    largest = max((*(a.loss for a, _ in pairs), *(loss for loss, _ in steps)), default=0.0) or 1.0
    most = max((a.instructions for a, _ in pairs), default=0) * len(pairs) + 1

    def weighed(loss: float) -> int:
        return round(float(np.ldexp(loss / largest, _LOSS_BITS))) << _TIE_BITS

    costs = [weighed(a.loss) + (a.instructions << _TIE_BITS) // most for a, _ in pairs]
    cost = sum(each * pick for each, (_, pick) in zip(costs, pairs, strict=True))
    model.minimize(cost + sum(weighed(loss) * pick for loss, pick in steps))
    solver = cp.CpSolver()
    solver.parameters.max_time_in_seconds = _SECONDS
    solver.parameters.num_workers = 1
    if solver.solve(model) not in (cp.OPTIMAL, cp.FEASIBLE):
        return None
    return lambda pick: bool(solver.value(pick))


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
