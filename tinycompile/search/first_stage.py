"""Which part of a space is worth searching: TinyNAS's first stage (MCUNet, NeurIPS 2020).

Of each part networks are sampled and those kept that fit the board. A part whose networks do more multiply-accumulates
within the limits has more accurate ones, as a rule; parts are compared by that distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from markupsafe import Markup

from tinycompile.errors import UsageError
from tinycompile.progress import step
from tinycompile.search.curves import Curve, picture
from tinycompile.search.prices import Prices
from tinycompile.search.space import Space, Value


@dataclass(frozen=True)
class Part:
    """A part of a space, and what of its networks fits.

    Attributes:
        name: of the space, with the values that its parameters are restricted to.
        macs: of those that fit, ascending. sampled: networks that were priced.
    """

    name: str
    macs: tuple[int, ...]
    sampled: int

    @property
    def fitting(self) -> float:
        """The part of its networks that fits."""
        return len(self.macs) / self.sampled if self.sampled else 0.0

    @property
    def mean(self) -> float:
        """Multiply-accumulates of a network that fits; 0 where none does."""
        return float(np.mean(self.macs)) if self.macs else 0.0

    def at(self, part: float) -> int:
        """Multiply-accumulates that so many of the networks that fit don't exceed."""
        return int(np.quantile(self.macs, part)) if self.macs else 0


def parts_of(space: Space, by: Mapping[str, Sequence[Value]]) -> list[tuple[str, Space]]:
    """(name, restricted space) for every combination of values of some parameters.

    Args:
        by: values by parameter; an empty list for all that it has.

    Raises:
        UsageError: the space has no such parameter or value.
    """
    unknown = sorted(set(by) - set(space.parameters))
    if unknown:
        raise UsageError(f"no parameter {unknown[0]!r}", where=space.where, hint=", ".join(space.parameters))
    names = list(by)
    choices = product(*(by[name] or space.parameters[name] for name in names))
    found = [{name: [value] for name, value in zip(names, each, strict=True)} for each in choices]
    titles = [" ".join([space.name, *(f"{name}={value[0]}" for name, value in each.items())]) for each in found]
    return [(title, space.restricted(each)) for title, each in zip(titles, found, strict=True)]


def compared(
    parts: Sequence[tuple[str, Space]], prices: Callable[[Space, str], Prices], count: int, seed: int
) -> list[Part]:
    """The parts, that with the most multiply-accumulates first.

    Args:
        prices: of a space's choices; what is said while they are found begins with the text.
        count: networks that are sampled of each; of small parts fewer are different.
    """
    found = list[Part]()
    for number, (name, space) in enumerate(parts, 1):
        title = f"{name}, {number} of {len(parts)}: "
        step(f"{title}pricing networks")
        priced, random = prices(space, title), np.random.default_rng(seed)
        known = {each.key: each for each in (priced(space.sampled(random)) for _ in range(count))}
        real = [each for each in known.values() if not each.is_none]
        macs = sorted(each.figures["macs"] for each in real if each.figures is not None and each.fits)
        found.append(Part(name, tuple(macs), len(real)))
    return sorted(found, key=lambda part: -part.mean)


def part_lines(parts: Sequence[Part]) -> list[str]:
    """For people: a table and the choice."""
    width = max(len(part.name) for part in parts)
    lines = [f"{'part':{width}} {'fit':>6} {'mean MACs':>12} {'median':>12} {'80 %':>12}"]
    lines += [
        f"{part.name:{width}} {part.fitting:6.0%} {part.mean:12,.0f} {part.at(0.5):12,} {part.at(0.8):12,}"
        for part in parts
    ]
    if parts[0].macs:
        lines.append(f"choice: {parts[0].name}, whose networks do the most work within the limits")
    else:
        lines.append("choice: none, as no network fits")
    return lines


def part_picture(parts: Sequence[Part], most: int = 8) -> Markup:
    """The cumulated distributions of multiply-accumulates, of so many parts."""
    curves = [
        Curve([(0.0, 0.0), *((macs, 100 * (i + 1) / len(part.macs)) for i, macs in enumerate(part.macs))], part.name)
        for part in parts[:most]
        if part.macs
    ]
    return picture(curves, [], "multiply-accumulates", "networks that fit and have no more, in %")
