"""Bits and kernel of each layer by an integer programme: the least loss for the bytes and instructions granted.

One of several alternatives is chosen for each layer; losses, bytes and instructions add up over layers. It is solved
exactly, by OR-Tools' CP-SAT. Losses that add up are the model: noise of one layer doesn't know of another one's.
Where channels can be removed, a level is chosen for each class of them as well, and each layer's alternative is one for
the levels of what it reads and makes.

Code doesn't add up over layers: whichever of them call a function, it is there once. So each function has a variable of
its own, which no layer's alternative that calls it can do without.
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


@dataclass(frozen=True)
class Alternative:
    """What a layer may be.

    Attributes:
        loss: what it adds to the power of the outputs' error, as a part of their own.
        bytes: of its constants. instructions: of one inference.
        kernel: that these are of, for people.
        function: that it calls; others with the same one share its `code` bytes. "" where it needs none.
        reads, makes: the levels of its operand's and its result's channels; 0 has all of them.
    """

    bits: int
    loss: float
    bytes: int
    instructions: int
    kernel: str = ""
    function: str = ""
    code: int = 0
    reads: int = 0
    makes: int = 0

    @property
    def has_all_channels(self) -> bool:
        return not (self.reads or self.makes)

    @property
    def alone(self) -> int:
        """Bytes of flash where no other layer calls its function."""
        return self.bytes + self.code


@dataclass(frozen=True)
class Levels:
    """Numbers of channels to choose from, by class; the first has all of them.

    Attributes:
        losses: what each level adds to the power of the outputs' error. removed: channels that it does without.
        reads, makes: the class of a layer's operand and of its result, where there is one.
        least: channels to be removed at least, of all classes together.
    """

    losses: Mapping[str, Sequence[float]]
    removed: Mapping[str, Sequence[int]]
    reads: Mapping[str, str]
    makes: Mapping[str, str]
    least: int = 0


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
    def code(self) -> int:
        """Bytes of the functions that layers call."""
        return sum({each.function: each.code for each in self.chosen.values()}.values())

    @property
    def flash(self) -> int:
        """Constants and code."""
        return self.bytes + self.code

    @property
    def instructions(self) -> int:
        return sum(each.instructions for each in self.chosen.values())

    @property
    def bits(self) -> dict[str, int]:
        """Of the layers that have fewer than 8."""
        return {name: each.bits for name, each in self.chosen.items() if each.bits < 8}

    @property
    def weights(self) -> frozenset[tuple[str, int]]:
        """What weights come of it: bits by layer, levels by class, where there are fewer bits or channels."""
        return frozenset((*self.bits.items(), *((name, level) for name, level in self.levels.items() if level)))


_MORE_BYTES, _TIMES = 1.1, 1.5
"""A kernel is left out if one with at most so many times its bytes takes fewer instructions by such a factor."""


def sensible(alternatives: Sequence[Alternative], *, with_code: bool = False) -> list[Alternative]:
    """Without kernels that save next to nothing and take much longer: portable ones beside those of the core."""
    size = size_of(with_code)

    def beaten(each: Alternative, a: Alternative) -> bool:
        same = a.bits == each.bits and _same_channels(a, each)
        return same and size(a) <= _MORE_BYTES * size(each) and _TIMES * a.instructions < each.instructions

    return [each for each in alternatives if not any(beaten(each, a) for a in alternatives)]


def _same_channels(one: Alternative, other: Alternative) -> bool:
    return (one.reads, one.makes) == (other.reads, other.makes)


def size_of(with_code: bool) -> Callable[[Alternative], int]:
    """Bytes of an alternative alone."""
    return (lambda a: a.alone) if with_code else (lambda a: a.bytes)


def useful(alternatives: Sequence[Alternative], *, with_code: bool = False) -> list[Alternative]:
    """Without those that another one is no worse than in everything, whatever other layers call."""
    kept = list[Alternative]()
    for each in sorted(alternatives, key=lambda a: (a.loss, a.bytes, a.instructions, -a.bits)):
        if not any(_is_no_larger(k, each, with_code) and k.instructions <= each.instructions for k in kept):
            kept.append(each)
    return kept


def _is_no_larger(a: Alternative, b: Alternative, with_code: bool) -> bool:
    """Where code counts, `b`'s function may be there already and `a`'s not."""
    return _same_channels(a, b) and (a.alone if with_code and a.function != b.function else a.bytes) <= b.bytes


@dataclass(frozen=True, eq=False)
class _Programme:
    """Variables for a pick of one alternative for each layer, and of one level for each class of channels."""

    model: Any
    kept: Mapping[str, Sequence[Alternative]]
    picks: Mapping[str, Sequence[Any]]
    size: Any
    levels: Levels
    steps: Mapping[str, Sequence[Any]]

    @staticmethod
    def of(
        alternatives: Mapping[str, Sequence[Alternative]], with_code: bool, levels: Levels | None = None
    ) -> _Programme:
        model: Any = cp_model().CpModel()
        kept = {name: useful(each, with_code=with_code) for name, each in alternatives.items()}
        picks = {name: [model.new_bool_var("") for _ in each] for name, each in kept.items()}
        for each in picks.values():
            model.add_exactly_one(each)
        pairs = [(a, pick) for name, each in kept.items() for a, pick in zip(each, picks[name], strict=True)]
        size = sum(a.bytes * pick for a, pick in pairs)
        if with_code:
            code = {a.function: a.code for a, _ in pairs if a.code}
            called = {function: model.new_bool_var("") for function in code}
            for a, pick in pairs:
                if a.function in called:
                    model.add_implication(pick, called[a.function])
            size = size + sum(code[function] * there for function, there in called.items())
        levels = levels or _NO_LEVELS
        steps = {name: [model.new_bool_var("") for _ in each] for name, each in levels.removed.items()}
        found = _Programme(model, kept, picks, size, levels, steps)
        found._link()
        return found

    def _link(self) -> None:
        """A layer's alternative is one for the levels of what it reads and makes."""
        for each in self.steps.values():
            self.model.add_exactly_one(each)
        for name, each in self.kept.items():
            for channels, at in (
                (self.levels.reads.get(name), [a.reads for a in each]),
                (self.levels.makes.get(name), [a.makes for a in each]),
            ):
                for number, there in enumerate(self.steps[channels] if channels is not None else []):
                    these = [pick for pick, level in zip(self.picks[name], at, strict=True) if level == number]
                    self.model.add(sum(these) == there)
        if self.levels.least:
            self.model.add(
                sum(count * there for count, there in self.stepped(self.levels.removed)) >= self.levels.least
            )

    def stepped(self, numbers: Mapping[str, Sequence[float]]) -> list[tuple[float, Any]]:
        """Numbers of all levels with their variables."""
        return [pair for name, each in self.steps.items() for pair in zip(numbers[name], each, strict=True)]

    @property
    def pairs(self) -> list[tuple[Alternative, Any]]:
        return [(a, pick) for name, each in self.kept.items() for a, pick in zip(each, self.picks[name], strict=True)]

    def solved(self) -> Choice | None:
        """None where nothing is within the limits."""
        cp = cp_model()
        solver = cp.CpSolver()
        solver.parameters.max_time_in_seconds = _SECONDS
        solver.parameters.num_workers = 1
        if solver.solve(self.model) not in (cp.OPTIMAL, cp.FEASIBLE):
            return None
        chosen = {
            name: next(a for a, pick in zip(each, self.picks[name], strict=True) if solver.value(pick))
            for name, each in self.kept.items()
        }
        at = {name: next(i for i, there in enumerate(each) if solver.value(there)) for name, each in self.steps.items()}
        return Choice(chosen, at, sum(self.levels.losses[name][level] for name, level in at.items()))


def smallest(
    alternatives: Mapping[str, Sequence[Alternative]], *, with_code: bool = False, levels: Levels | None = None
) -> Choice:
    """The fewest bytes, whatever they lose and take; one of those with the least loss.

    Args:
        with_code: functions count as well, each once.
        levels: as for `choose`.
    """
    if not with_code and levels is None:
        by_size = {n: min(each, key=lambda a: (a.bytes, a.loss, a.instructions)) for n, each in alternatives.items()}
        return Choice(by_size)
    programme = _Programme.of(alternatives, with_code, levels)
    programme.model.minimize(programme.size)
    found = programme.solved()
    size = 0 if found is None else found.flash if with_code else found.bytes
    return choose(alternatives, size, with_code=with_code, levels=levels)


def choose(
    alternatives: Mapping[str, Sequence[Alternative]],
    bytes_limit: int,
    instruction_limit: int | None = None,
    *,
    with_code: bool = False,
    levels: Levels | None = None,
) -> Choice:
    """The least loss within the limits; among equals the fewest instructions.

    Args:
        bytes_limit: of all layers' constants. instruction_limit: of all layers; None for any number.
        with_code: the bytes are those of functions as well, each once.
        levels: of channels; with None all stay.

    Raises:
        DoesNotFitError: there is no such choice.
    """
    programme = _Programme.of(alternatives, with_code, levels)
    model, pairs = programme.model, programme.pairs
    model.add(programme.size <= bytes_limit)
    if instruction_limit is not None:
        model.add(sum(a.instructions * pick for a, pick in pairs) <= instruction_limit)
    steps = programme.stepped(programme.levels.losses)
    largest = max((*(a.loss for a, _ in pairs), *(loss for loss, _ in steps)), default=0.0) or 1.0
    most = max((a.instructions for a, _ in pairs), default=0) * len(programme.kept) + 1

    def weighed(loss: float) -> int:
        return round(float(np.ldexp(loss / largest, _LOSS_BITS))) << _TIE_BITS

    costs = [weighed(a.loss) + (a.instructions << _TIE_BITS) // most for a, _ in pairs]
    cost = sum(each * pick for each, (_, pick) in zip(costs, pairs, strict=True))
    model.minimize(cost + sum(weighed(loss) * there for loss, there in steps))
    found = programme.solved()
    if found is None:
        raise _impossible(alternatives, bytes_limit, instruction_limit, with_code, levels)
    return found


def _impossible(
    alternatives: Mapping[str, Sequence[Alternative]],
    bytes_limit: int,
    instruction_limit: int | None,
    with_code: bool,
    levels: Levels | None,
) -> DoesNotFitError:
    fewest = smallest(alternatives, with_code=with_code, levels=levels)
    least = fewest.flash if with_code else fewest.bytes
    fastest = sum(min(a.instructions for a in each) for each in alternatives.values())
    if least > bytes_limit:
        of_code = ", their code included," if with_code else ""
        text = f"the layers' weights{of_code} take {least:,} bytes with the fewest bits, {bytes_limit:,} are granted"
        return DoesNotFitError(text, hint=f"grant {least:,} bytes, or use a smaller network")
    if instruction_limit is not None and fastest > instruction_limit:
        text = f"the layers take {fastest:,} instructions with the fastest kernels, {instruction_limit:,} are granted"
        return DoesNotFitError(text, hint="grant more instructions")
    text = f"no bits for the layers take at most {bytes_limit:,} bytes and {instruction_limit:,} instructions"
    return DoesNotFitError(text, hint="grant more of either")
