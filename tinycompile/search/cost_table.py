"""What each block of a space costs for each of its choices: a table whose sums are the prices of networks.

A block's price depends on few of the space's parameters, which are found by looking: networks that differ in one
parameter either have the same block or not. The expected price of a network whose parameters are drawn on their own is
then a polynomial of their probabilities, which `architecture.py` differentiates (ProxylessNAS and FBNet).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.costing import FIRMWARE_CODE_BYTES, LayerCost
from tinycompile.errors import DoesNotFitError, UsageError
from tinycompile.ir import Array
from tinycompile.progress import step
from tinycompile.report.document import replace_file
from tinycompile.search.blocks import layers_by_block, signatures
from tinycompile.search.prices import Limits
from tinycompile.search.pricing import price
from tinycompile.search.space import Config, NoNetwork, Space, Value
from tinycompile.search.torch_network import as_proto

FORMAT = "tinycompile cost table"
VERSION = 1
UNITS = {
    "instructions": "executed in one inference, by the kernels' estimates",
    "macs": "multiply-accumulates of one inference",
    "weights_bytes": "flash: constants as the kernels want them",
    "code_bytes": "flash: machine code, an estimate as if no two layers shared a function",
}
NOT_ADDITIVE = {
    "instructions": "kernels are chosen by what a byte of flash is worth to the whole network: entries are means",
    "ram_bytes": "the most that is alive at once, so it is no sum: price the network",
    "code_bytes": "layers with equal functions share one, so a sum is an upper estimate of the code",
}
LARGEST = 200_000
"""Entries of a table at the most."""

CONTEXTS = 3
"""Networks of which a block's price is the mean; more where others' blocks are priced with it."""

_FIRST = 48
"""Networks at random that are compared before a table's size is known."""
_TRIES = 8
"""Networks that are looked at for one that has a block with given values."""

Key = tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Block:
    """Of a space's networks.

    Attributes:
        by: the parameters that it depends on.
        figures: by name, an array with an axis for each of these; 0 where networks don't have the block, NaN where
            there is no network, or none that the board has room for.
    """

    name: str
    by: tuple[str, ...]
    figures: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class CostTable:
    """See the module.

    Attributes:
        parameters: the space's, with their values in order.
        constant: by figure, what every network has beside its blocks.
    """

    space: str
    target: str
    shape: tuple[int, ...]
    classes: int
    parameters: Mapping[str, tuple[Value, ...]]
    constant: Mapping[str, float]
    blocks: tuple[Block, ...]

    def cost(self, config: Config) -> dict[str, float]:
        """A network's figures by the table; NaN where it has no entry."""
        found = dict(self.constant)
        for block in self.blocks:
            place = tuple(self.parameters[name].index(config[name]) for name in block.by)
            for figure, values in block.figures.items():
                found[figure] += float(values[place])
        return found

    def lines(self) -> list[str]:
        """For people: the blocks, and from what to what they cost."""
        width = max(len(block.name) for block in self.blocks)
        lines = [f"{'block':{width}} {'entries':>8} {'instructions':>23}  depends on"]
        for block in self.blocks:
            known = block.figures["instructions"]
            some = known[~np.isnan(known)]
            span = f"{some.min():,.0f} to {some.max():,.0f}" if some.size else "no network fits"
            lines.append(f"{block.name:{width}} {known.size:8,} {span:>23}  {', '.join(block.by)}")
        return lines

    def save(self, path: Path) -> None:
        """As JSON, whole or not at all: lists in the order of the parameters' values, the last changing first."""
        blocks = [
            {
                "name": block.name,
                "parameters": block.by,
                "shape": [len(self.parameters[name]) for name in block.by],
                **{figure: _listed(values) for figure, values in block.figures.items()},
            }
            for block in self.blocks
        ]
        facts: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "space": self.space,
            "target": self.target,
            "shape": self.shape,
            "classes": self.classes,
            "units": UNITS,
            "not_additive": NOT_ADDITIVE,
            "parameters": self.parameters,
            "constant": self.constant,
            "blocks": blocks,
        }
        replace_file(path, json.dumps(facts, indent=1))

    @staticmethod
    def read(path: Path) -> CostTable:
        """Raises UsageError: the file is no table."""
        try:
            facts: dict[str, Any] = json.loads(path.read_text())
            if (facts["format"], facts["version"]) != (FORMAT, VERSION):
                raise ValueError(f"{facts['format']} {facts['version']}")
            parameters = {name: tuple(values) for name, values in facts["parameters"].items()}
            blocks = tuple(
                Block(
                    each["name"],
                    tuple(each["parameters"]),
                    {figure: np.array(each[figure], np.float64).reshape(each["shape"]) for figure in UNITS},
                )
                for each in facts["blocks"]
            )
            ends = tuple(facts["shape"]), facts["classes"]
            return CostTable(facts["space"], facts["target"], *ends, parameters, facts["constant"], blocks)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"no cost table: {type(error).__name__}: {error}", where=str(path)) from error


def is_table(path: Path) -> bool:
    """A file that `CostTable.save` wrote."""
    return f'"format": "{FORMAT}"' in path.read_text(encoding="utf-8", errors="replace")[:100]


def _listed(values: Array) -> list[int | None]:
    return [None if np.isnan(value) else round(value) for value in values.ravel().tolist()]


@dataclass(eq=False)
class _Seen:
    """Networks that were looked at, and what their blocks depend on, as far as these tell.

    Attributes:
        by: of each block, the parameters that it is known to depend on.
        entries: of each block, by the values of these: its signature, "" where it isn't there.
    """

    space: Space
    shape: tuple[int, ...]
    classes: int
    by: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    entries: dict[str, dict[Key, str]] = field(default_factory=dict[str, dict[Key, str]])
    _examples: dict[str, dict[Key, Config]] = field(default_factory=dict[str, dict[Key, Config]])
    _networks: dict[Key, dict[str, str] | None] = field(default_factory=dict[Key, dict[str, str] | None])

    def look(self, config: Config) -> bool:
        """At a network; False where the choice means none."""
        found = self._signatures(config)
        if found is None:
            return False
        for block in found:
            if block not in self.by:
                self.by[block] = ()
                self._again(block)
        for block in self.by:
            while not self._noted(block, config, found.get(block, "")):
                self._again(block)
        return True

    def _signatures(self, config: Config) -> dict[str, str] | None:
        key = tuple(config.values())
        if key not in self._networks:
            try:
                proto = self.proto(config)
                self._networks[key] = signatures(proto)
            except NoNetwork:
                self._networks[key] = None
        return self._networks[key]

    def proto(self, config: Config) -> Any:
        """Raises NoNetwork."""
        network = self.space.network(config, self.shape, self.classes)
        return as_proto(network, self.shape, self.space.place(config))

    def _again(self, block: str) -> None:
        """Sort what was seen by the parameters that the block is known to depend on by now."""
        self.entries[block], self._examples[block] = {}, {}
        for key, found in list(self._networks.items()):
            if found is not None:
                config = dict(zip(self.space.parameters, key, strict=True))
                if not self._noted(block, config, found.get(block, "")):
                    self._again(block)
                    return

    def _noted(self, block: str, config: Config, signature: str) -> bool:
        """False where a parameter more was found on which the block depends."""
        place = tuple(config[name] for name in self.by[block])
        known = self.entries[block].setdefault(place, signature)
        example = self._examples[block].setdefault(place, config)
        if known == signature:
            return True
        self._depends(block, example, config)
        return False

    def _depends(self, block: str, first: Config, last: Config) -> None:
        """Add what the block depends on, which isn't the same in two networks."""
        names = list(self.space.parameters)
        ways = ((first, last, names), (first, last, names[::-1]), (last, first, names), (last, first, names[::-1]))
        added = min((self._walk(block, *way) for way in ways), key=len)
        self.by[block] = tuple(name for name in names if name in {*self.by[block], *added})

    def _walk(self, block: str, first: Config, last: Config, names: Sequence[str]) -> list[str]:
        """From one choice to the other, a parameter at a time, until the block is another: the last one, and those in
        front of it with which there is no network.
        """
        now, passed = dict(first), list[str]()
        known = (self._signatures(first) or {}).get(block)
        for name in names:
            if now[name] == last[name]:
                continue
            now[name] = last[name]
            passed.append(name)
            found = self._signatures(now)
            if found is None:
                continue
            if found.get(block) != known:
                break
            passed.clear()
        return passed

    def missing(self) -> Iterator[tuple[str, Key]]:
        """(block, values of its parameters) of which no network was seen."""
        for block in list(self.by):
            for place in product(*(self.space.parameters[name] for name in self.by[block])):
                if len(place) != len(self.by[block]):
                    break  # by now it depends on more
                if place not in self.entries[block]:
                    yield block, place

    @property
    def size(self) -> int:
        """Entries of the table."""
        return sum(prod(len(self.space.parameters[name]) for name in by) for by in self.by.values())


def cost_table(
    space: Space, shape: Sequence[int], classes: int, target: str, limits: Limits | None = None, seed: int = 0
) -> CostTable:
    """A space's table, for networks of int8 that are executed layer by layer.

    Args:
        shape, classes: as `Space.network` takes them.
        limits: prices are the mean over some networks that keep them. seed: of the networks that are looked at.

    Raises:
        UsageError: too many entries. Others as `Prices`.
    """
    seen = _Seen(space, tuple(shape), classes)
    step(f"looking for the blocks of {space.name}")
    random = np.random.default_rng(seed)
    _look(seen, random)
    prices = _priced(seen, target, limits or Limits(), random)
    blocks = tuple(_block(seen, name, prices) for name in seen.by)
    constant = {figure: FIRMWARE_CODE_BYTES if figure == "code_bytes" else 0 for figure in UNITS}
    return CostTable(space.name, target, tuple(shape), classes, dict(space.parameters), constant, blocks)


def _look(seen: _Seen, random: np.random.Generator) -> None:
    """At so many networks that every entry of the table has one, if there is one."""
    for _ in range(_FIRST):
        seen.look(seen.space.sampled(random))
    none = set[tuple[str, tuple[str, ...], Key]]()
    while True:
        _check_size(seen)
        todo = [each for each in seen.missing() if (each[0], seen.by[each[0]], each[1]) not in none]
        if not todo:
            return
        for block, place in todo:
            by = seen.by[block]
            if len(place) != len(by) or place in seen.entries[block]:
                continue
            fixed = dict(zip(by, place, strict=True))
            if not any(seen.look({**seen.space.sampled(random), **fixed}) for _ in range(_TRIES)):
                none.add((block, by, place))


def _check_size(seen: _Seen) -> None:
    if seen.size > LARGEST:
        block, by = max(seen.by.items(), key=lambda item: len(item[1]))
        raise UsageError(
            f"a cost table of {seen.size:,} entries",
            where=seen.space.where,
            why=f"{block!r} depends on {', '.join(by)}; {LARGEST:,} are enough for spaces whose layers have names",
            hint="Network.named for each layer; parameters that concern few layers, such as a width for each",
        )


def _priced(seen: _Seen, target: str, limits: Limits, random: np.random.Generator) -> dict[str, dict[str, float]]:
    """Mean figures by signature, over some networks that have the block; none where the board has room for none.

    A block's kernels are chosen by what a byte of flash is worth to the whole network, so its price isn't always the
    same. Networks within the limits count, if there are any.
    """
    contexts = {"": _Contexts([dict.fromkeys(UNITS, 0)] * CONTEXTS)}
    wanted = {sign: (block, place) for block, entries in seen.entries.items() for place, sign in entries.items()}
    done, fitting, figures = set[Key](), list[Config](), _Pricing(seen, target, limits)
    for number, (signature, (block, place)) in enumerate(wanted.items(), 1):
        step(f"pricing block {number} of {len(wanted)}")
        fixed = dict(zip(seen.by[block], place, strict=True))
        for attempt in range(CONTEXTS):
            if len(contexts.setdefault(signature, _Contexts()).within) >= CONTEXTS:
                break
            near = fitting[int(random.integers(len(fitting)))] if attempt and fitting else seen.space.sampled(random)
            config = {**near, **fixed}
            if tuple(config.values()) in done:
                continue
            done.add(tuple(config.values()))
            fits, found = figures(config)
            if fits:
                fitting.append(config)
            for other, own in found.items():
                contexts.setdefault(other, _Contexts()).of(fits).append(own)
    return {signature: each.mean() for signature, each in contexts.items() if each.within or each.beyond}


@dataclass(eq=False)
class _Pricing:
    """Networks' blocks by signature, as they are priced layer by layer."""

    seen: _Seen
    target: str
    limits: Limits

    def __post_init__(self) -> None:
        self._options = replace(self.limits.options(self.target), schedule="layer")
        self._board = self._options.board()

    def __call__(self, config: Config) -> tuple[bool, dict[str, dict[str, int]]]:
        """(whether it is within the limits, figures); none of no network, and of one that has no room."""
        try:
            proto = self.seen.proto(config)
            found = price(proto, self._board, self._options, self.seen.space.place(config))
        except (NoNetwork, DoesNotFitError):
            return False, {}
        names, layers = signatures(proto), layers_by_block(proto, found.layers)
        figures = {names[block]: _figures(own) for block, own in layers.items()}
        return max(self.limits.excess(found)) <= 0, figures


@dataclass(frozen=True)
class _Contexts:
    """A block's figures in networks within the limits, and in others."""

    within: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    beyond: list[dict[str, int]] = field(default_factory=list[dict[str, int]])

    def of(self, fits: bool) -> list[dict[str, int]]:
        return self.within if fits else self.beyond

    def mean(self) -> dict[str, float]:
        known = self.within or self.beyond
        return {figure: sum(each[figure] for each in known) / len(known) for figure in UNITS}


def _figures(layers: Sequence[LayerCost]) -> dict[str, int]:
    return {figure: sum(getattr(layer, figure) for layer in layers) for figure in UNITS}


def _block(seen: _Seen, name: str, prices: Mapping[str, Mapping[str, float]]) -> Block:
    by, entries = seen.by[name], seen.entries[name]
    known = [prices.get(entries.get(place, "?")) for place in product(*(seen.space.parameters[each] for each in by))]
    shape = [len(seen.space.parameters[each]) for each in by]
    figures = {
        figure: np.array([np.nan if each is None else each[figure] for each in known], np.float64).reshape(shape)
        for figure in UNITS
    }
    return Block(name, by, figures)
