"""Direct search (ProxylessNAS, ICLR 2019): the choice is trained together with the weights, with a loss for its cost.

Each parameter has a weight for each of its values, whose softmax says how likely a value is. Steps alternate: in one a
network is drawn and its weights are trained; in the next the choice is, on other samples, by losses of two values of a
parameter and by the expected cost, of which a cost table gives the exact gradient. Two values are compared by their
networks' losses, not by a sum of their outputs as in the paper: other widths, depths and resolutions have no sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.search.cost_table import CostTable
from tinycompile.search.data import Part
from tinycompile.search.space import Config, NoNetwork, Space, Value
from tinycompile.search.supernet import Members, largest
from tinycompile.search.torch_network import torch_module
from tinycompile.search.trainer import Recipe, one_cycle, parameter_groups, varied

ALIKE = 0.3
"""The part of the epochs in which all values are as likely as others, and only weights are trained."""
COMPARED = 3
"""Parameters of which two values are compared in a step."""
RATE = 0.1
"""Of the choice's Adam, which has no first moment, as in the paper."""
_TRIES = 20


def expected_cost(table: CostTable, probabilities: Mapping[str, Any], figure: str = "instructions") -> Any:
    """The mean of a figure over networks whose parameters are drawn on their own: a scalar that can be differentiated.

    Args:
        table: an entry that it hasn't counts as the most that its block has.
        probabilities: a tensor for each parameter, of its values in the table's order; a softmax, as a rule.
        figure: one of `cost_table.UNITS`.
    """
    torch = torch_module()
    found = torch.zeros((), dtype=torch.float64) + table.constant[figure]
    for block in table.blocks:
        values = block.figures[figure]
        most = np.nanmax(values) if not np.isnan(values).all() else 0.0
        mean = torch.tensor(np.where(np.isnan(values), most, values), dtype=torch.float64)
        for name in block.by:
            mean = torch.tensordot(probabilities[name].double(), mean, dims=([0], [0]))
        found = found + mean
    return found


@dataclass(frozen=True)
class Choice:
    """How likely each value of each parameter is.

    Attributes:
        expected: instructions of a network that is drawn so.
    """

    probabilities: Mapping[str, Sequence[float]]
    expected: float

    def best(self, space: Space) -> dict[str, Value]:
        """The likeliest value of each."""
        return {name: values[int(np.argmax(self.probabilities[name]))] for name, values in space.parameters.items()}


class _Weights:
    """Of a choice, and how they are trained.

    Args:
        limit: instructions above which the cost counts; None for all of it, against that of the first choice.
        importance: of the cost's loss, which is this where the expected cost is the limit.
    """

    def __init__(self, space: Space, table: CostTable, limit: int | None, importance: float) -> None:
        self._torch, self._table, self._limit, self._importance = torch_module(), table, limit, importance
        self._values = {name: self._torch.zeros(len(values)) for name, values in space.parameters.items()}
        for each in self._values.values():
            each.requires_grad_(True)
            each.grad = self._torch.zeros_like(each)  # also of what no block depends on
        self._optimizer = self._torch.optim.Adam(list(self._values.values()), RATE, betas=(0.0, 0.999))
        self._whole = self.expected()

    def likely(self) -> dict[str, Array]:
        """Probabilities of places."""
        return {name: self._torch.softmax(each.detach().double(), 0).numpy() for name, each in self._values.items()}

    def expected(self) -> float:
        return float(expected_cost(self._table, self._probabilities()).detach())

    def _probabilities(self) -> dict[str, Any]:
        return {name: self._torch.softmax(each, 0) for name, each in self._values.items()}

    def step(self, losses: Sequence[tuple[str, tuple[int, int], tuple[float, float]]]) -> None:
        """Args: losses: (parameter, places of two of its values, their losses)."""
        part = expected_cost(self._table, self._probabilities()) / (self._limit or self._whole)
        cost = self._importance * (part if self._limit is None else self._torch.relu(part - 1))
        self._optimizer.zero_grad(set_to_none=False)
        cost.backward()
        for name, places, (first, second) in losses:
            pair = self._torch.softmax(self._values[name].detach()[list(places)], 0)
            slope = float(pair[0] * pair[1]) * (first - second)
            self._values[name].grad[places[0]] += slope
            self._values[name].grad[places[1]] -= slope
        self._optimizer.step()


def train_architecture(
    space: Space,
    population: Sequence[Config],
    table: CostTable,
    parts: tuple[Part, Part],
    classes: int,
    recipe: Recipe,
    seed: int,
    *,
    limit: int | None = None,
    importance: float = 1.0,
) -> Choice:
    """What a direct search says.

    Args:
        population: choices whose networks are not larger than weights are kept for.
        parts: samples for the weights, and for the choice.
        recipe: its `epochs` are those of both together. limit, importance: as `_Weights` has them.

    Raises:
        UsageError: the population has no network; networks are PyTorch modules.
    """
    torch = torch_module()
    numbers = [name for name, values in space.parameters.items() if not any(isinstance(v, str | bool) for v in values)]
    wide = [*population, *(largest(space, config, numbers) for config in population)]
    members = Members(space, wide, parts[0].x.shape[1:], classes)
    if not members.population:
        raise UsageError("no choice of the space has a network that shares weights with others", where=space.where)
    random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    weights = _Weights(space, table, limit, importance)
    run = _Run(space, members, weights, random)
    x, y, other_x, other_y = (torch.tensor(each) for part in parts for each in (part.x, part.y))
    optimizer = torch.optim.AdamW(parameter_groups(list(members.shared.values()), recipe.decay), recipe.rate)
    total = recipe.epochs * -(-len(x) // recipe.batch)
    schedule = one_cycle(torch, optimizer, recipe.rate, total)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    deviation = float(x.std())
    for epoch in range(recipe.epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(recipe.batch):
            if len(chosen) < 2:
                continue
            optimizer.zero_grad()  # to None: weights that a network hasn't stay as they are
            loss_of(run.drawn()[1](varied(torch, x[chosen], recipe, deviation, generator)), y[chosen]).backward()
            optimizer.step()
            schedule.step()
            if epoch >= ALIKE * recipe.epochs:
                judged = torch.randperm(len(other_x), generator=generator)[: max(2, recipe.batch)]
                weights.step(run.compared(other_x[judged], other_y[judged]))
    likely = weights.likely()
    return Choice({name: each.tolist() for name, each in likely.items()}, weights.expected())


@dataclass(frozen=True, eq=False)
class _Run:
    """Networks that are drawn."""

    space: Space
    members: Members
    weights: _Weights
    random: np.random.Generator

    def drawn(self) -> tuple[dict[str, int], Any]:
        """(place of each parameter's value, network)."""
        likely = self.weights.likely()
        for _ in range(_TRIES):
            places = {name: int(self.random.choice(len(each), p=each)) for name, each in likely.items()}
            net = self._net(places)
            if net is not None:
                return places, net
        raise UsageError(
            f"{_TRIES} choices one after another mean no network",
            where=self.space.where,
            hint="a space with fewer values that don't go together",
        )

    def _net(self, places: Mapping[str, int]) -> Any:
        config = {name: values[places[name]] for name, values in self.space.parameters.items()}
        try:
            return self.members(config)
        except NoNetwork:
            return None

    def compared(self, x: Any, y: Any) -> list[tuple[str, tuple[int, int], tuple[float, float]]]:
        """Of some parameters two values, drawn by how likely they are, and the losses of networks that have them."""
        torch, likely = torch_module(), self.weights.likely()
        loss_of, found = torch.nn.CrossEntropyLoss(), list[tuple[str, tuple[int, int], tuple[float, float]]]()
        with torch.no_grad():
            places, net = self.drawn()
            here = float(loss_of(net(x), y))
            names = [name for name, each in likely.items() if len(each) > 1]
            for name in self.random.permutation(names)[:COMPARED].tolist():
                others = np.where(np.arange(len(likely[name])) == places[name], 0.0, likely[name])
                if others.sum() <= 0:
                    continue
                other = int(self.random.choice(len(others), p=others / others.sum()))
                net = self._net({**places, name: other})
                if net is not None:
                    found.append((name, (places[name], other), (here, float(loss_of(net(x), y)))))
        return found
