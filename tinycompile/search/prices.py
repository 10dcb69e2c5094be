"""Choices of a space, priced within the user's limits; each network once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinycompile.copy_choice import STACK_BYTES
from tinycompile.costing import OTHER_RAM_BYTES, Cost
from tinycompile.errors import DoesNotFitError, UsageError
from tinycompile.measuring import Measuring
from tinycompile.options import Options
from tinycompile.progress import step
from tinycompile.search.pricing import price
from tinycompile.search.resolution import sample_shape
from tinycompile.search.space import Config, NoNetwork, Space
from tinycompile.search.study import Priced
from tinycompile.search.torch_network import as_proto
from tinycompile.targets import Board

_FAR = 10.0
"""Times its limit that something exceeds which has no figures."""

_UNSURE = 0.25
"""By how much an estimate may exceed a limit that a measured network keeps."""

_LITTLE = 0.01
"""The excess of a firmware that has no room, where its estimate has."""

_LINE, _MEASURED_LINE = 100, 10
"""Networks after each of which there is a line: some seconds."""

_DRAWN = 8
"""Choices that are looked at for one that fits."""


@dataclass(frozen=True)
class Limits:
    """Of a firmware; None for what the board has, and for no limit on instructions.

    Attributes:
        ram, flash: bytes, of everything: stack and code included.
        instructions: of one inference.
    """

    ram: int | None = None
    flash: int | None = None
    instructions: int | None = None

    def options(self, target: str) -> Options:
        """How a network is compiled within them: int8 at its edges."""
        arena = None if self.ram is None else max(1, self.ram - STACK_BYTES - OTHER_RAM_BYTES)
        return Options(target, io="int8", ram=arena, flash=self.flash)

    def excess(self, found: Cost) -> tuple[float, ...]:
        """By how much each limit is exceeded, as parts of it."""
        pairs = (
            (found.ram_bytes, self.ram or found.ram_limit_bytes),
            (found.flash_bytes, self.flash or found.flash_limit_bytes),
            (found.instructions, self.instructions or found.instructions),
        )
        return tuple(figure / limit - 1 for figure, limit in pairs)

    def exceeded_by(self, ram: int, flash: int, instructions: int | None) -> str:
        """By what a firmware exceeds them, in words; empty where it keeps them.

        Args:
            instructions: None where nobody counted them.
        """
        pairs = (
            ("RAM", ram, self.ram),
            ("flash", flash, self.flash),
            ("instructions", instructions, self.instructions),
        )
        return ", ".join(
            f"takes {found:,} of {limit:,} {name}"
            for name, found, limit in pairs
            if found is not None and limit is not None and found > limit
        )


COUNT = 3
"""Figures of `Limits.excess`."""


@dataclass(eq=False)
class Prices:
    """What choices of a space cost on a board.

    Args:
        shape, classes: as `Space.network` takes them.
        measure: as `cost` takes it, of networks that are near enough to the limits.
        told: how many were priced, now and then; every one is a `step`. title: what both begin with.
    """

    space: Space
    shape: tuple[int, ...]
    classes: int
    target: str
    limits: Limits
    measure: Measuring = "none"
    told: Callable[[str], None] | None = None
    title: str = ""
    _known: dict[str, Priced] = field(default_factory=dict[str, Priced])

    def __post_init__(self) -> None:
        self._options: Options = self.limits.options(self.target)
        self._board: Board = self._options.board()

    def __call__(self, config: Config) -> Priced:
        """Raises TinycompileError: a network that can't be compiled, which is a defect of the space."""
        where = self.space.place(config)
        try:
            proto = as_proto(self.space.network(config, self.shape, self.classes), self.shape, where)
        except NoNetwork as error:
            return Priced(None, (_FAR,) * COUNT, f"none: {error}", is_none=True)
        key = _key_of(proto, self.shape)
        if key not in self._known:
            self._known[key] = self._priced(proto, key, where)
            self._say()
        return self._known[key]

    def unmeasured(self) -> Prices:
        """Of many networks that aren't candidates: by estimates, which aren't mistaken for these prices."""
        return replace(self, measure="none", _known={})

    def population(self, count: int, seed: int) -> list[Config]:
        """Choices that fit, at random; fewer where few do."""
        random, found = np.random.default_rng(seed), list[Config]()
        for _ in range(_DRAWN * count):
            config = self.space.sampled(random)
            if self(config).fits:
                found.append(config)
            if len(found) == count:
                break
        return found

    def nothing_fits(self) -> UsageError:
        """For people: how far from the limits the networks are that were priced."""
        seen = [each.figures for each in self._known.values() if each.figures is not None]
        least = ", ".join(
            f"{min(each[key] for each in seen):,} {name}"
            for key, name in (
                ("ram_bytes", "bytes of RAM"),
                ("flash_bytes", "of flash"),
                ("instructions", "instructions"),
            )
            if seen
        )
        crowded = len(self._known) - len(seen)
        facts = [
            *([f"the least of {len(seen)} networks: {least}"] if seen else []),
            *([f"no room for the values of {crowded}"] if crowded else []),
        ]
        return UsageError(
            f"nothing in the space fits {self.target} within the limits",
            where=self.space.where,
            why="; ".join(facts),
            hint="larger --ram, --flash or --instructions, or smaller values of the space's parameters",
        )

    def _say(self) -> None:
        """How many there are, after each; a line for some of them."""
        priced = list(self._known.values())
        text = f"{self.title}priced {len(priced):,} networks, of which {sum(each.fits for each in priced):,} fit"
        step(text)
        if self.told is not None and len(priced) % (_LINE if self.measure == "none" else _MEASURED_LINE) == 0:
            self.told(text)

    def _priced(self, proto: Any, key: str, where: str) -> Priced:
        ends, estimates = ((1, *self.shape), (1, self.classes)), list[Cost]()

        def near(estimate: Cost) -> bool:
            estimates.append(estimate)
            return max(self.limits.excess(estimate)) <= _UNSURE

        try:
            found = price(proto, self._board, self._options, where, ends, self.measure, near)
            excess = self.limits.excess(found)
        except DoesNotFitError:
            if not estimates:
                return Priced(None, (_FAR,) * COUNT, key)
            found = estimates[0]  # the linker had no room for what should have fitted
            excess = tuple(max(each, _LITTLE) for each in self.limits.excess(found))
        figures = {
            "instructions": found.instructions,
            "ram_bytes": found.ram_bytes,
            "flash_bytes": found.flash_bytes,
            "macs": found.macs,
            "weights_bytes": found.weights_bytes,
        }
        return Priced(figures, excess, key)


def _key_of(proto: Any, shape: tuple[int, ...]) -> str:
    """Of its nodes, of the shapes of its constants, and of its samples' shape where it isn't the usual one."""
    parts = [node.SerializeToString(deterministic=True) for node in proto.graph.node]
    parts += [f"{each.name} {list(each.dims)}".encode() for each in proto.graph.initializer]
    own = sample_shape(proto)
    parts += [] if own == shape else [f"{own}".encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]
