"""A supernet's training: networks of a space that share weights, the large ones teaching the small ones.

Each step trains the largest network by labels, and smaller ones by what it says (the sandwich rule of universally
slimmable networks, ICCV 2019). Parameters shrink one after another (progressive shrinking, Once-for-All): at first all
networks have the most of each elastic parameter, then fewer of the first, and so on. Where many networks share weights
that is soon over (`MANY`), as small ones at the end are trained too little.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.search.data import Part
from tinycompile.search.shared_weights import inherited, key_of, part_of, shapes_of
from tinycompile.search.space import Config, NoNetwork, Space, Value
from tinycompile.search.torch_network import MOMENTUM, Trainable, torch_module
from tinycompile.search.trainer import Recipe, one_cycle, parameter_groups, varied

SMALLER = 4
"""Networks of a step beside the largest."""
KEPT = 512
"""Networks that are kept for when they are drawn again."""
_LAYERS = ("Conv", "Gemm", "MatMul")
_RECALIBRATED = 1000
"""Samples of a batch that statistics are computed of."""


@dataclass(frozen=True)
class Way:
    """How networks that share weights are trained.

    Attributes:
        alone: the part of the epochs in which only the largest is trained.
        opened: that after which all elastic parameters have all their values.
        rate: times a candidate's learning rate, where batch normalisations follow all layers but one.
    """

    alone: float
    opened: float
    rate: float


MANY = Way(0.0, 0.1, 4.0)
"""Weights that many networks pull at learn slower than one network's own. In 30 epochs of digits, opened late, networks
reach 36 % with 0.5 times the rate, 62, 80, 88 and 86 % with 1, 2, 4 and 8 times; transformers of BasicMotions 80 %
with 1 and 71 % with 4."""
FEW = Way(0.2, 0.3, 1.0)
"""Some widths of one network."""


class Members:
    """Networks that share weights.

    Attributes:
        shared: tensors by key, of the sizes that the largest networks need.
        population: the choices that have a network at every size that they are trained at.
        normalized: whether batch normalisations follow all layers of weights but one, the last: then only their
            direction counts, and a high learning rate does no harm.
    """

    def __init__(self, space: Space, population: Sequence[Config], shape: tuple[int, ...], classes: int) -> None:
        self._space, self._shape, self._classes = space, shape, classes
        self._known = dict[tuple[Value, ...], Trainable]()
        self._most = sys.maxsize
        self.population = [config for config in population if self._has_networks(config)]
        torch, protos = torch_module(), [net.proto for net in self._known.values()]
        self.normalized = all(_apart(proto) <= 1 for proto in protos)
        names = [net.weights for net in self._known.values()]
        self.shared: dict[str, Any] = {key: torch.zeros(size) for key, size in shapes_of(protos, names).items()}
        for net in names:
            for name, value in net.items():
                self._part(name, value.shape)[:] = value.detach()
        for value in self.shared.values():
            value.requires_grad_(True)
        self._most = max(KEPT, len(self._known))

    def _has_networks(self, config: Config) -> bool:
        try:
            for opened in range(len(self._space.elastic) + 1):
                self._net(largest(self._space, config, self._space.elastic[opened:]))
        except NoNetwork:
            return False
        return True

    def _net(self, config: Config) -> Trainable:
        key = tuple(config.values())
        if key not in self._known:
            while len(self._known) >= self._most:
                self._known.pop(next(iter(self._known)))
            self._known[key] = Trainable(_network(self._space, config, self._shape, self._classes))
        return self._known[key]

    def _part(self, name: str, shape: Sequence[int]) -> Any:
        whole = self.shared.get(key_of(name, shape))
        if whole is None or any(size > most for size, most in zip(shape, whole.shape, strict=True)):
            raise NoNetwork(f"{name} has more elements than any network of the population")
        return whole[part_of(tuple(whole.shape), tuple(shape))]

    def __call__(self, config: Config) -> Trainable:
        """The network of a choice, its weights views of the shared ones.

        Raises:
            NoNetwork: there is none, or none that the shared weights suffice for.
        """
        net = self._net(config)
        net.weights = {name: self._part(name, own.shape) for name, own in net.weights.items()}
        return net


def _network(space: Space, config: Config, shape: tuple[int, ...], classes: int) -> Any:
    found = space.network(config, shape, classes)
    if not hasattr(found, "graph"):
        raise UsageError(
            "networks of PyTorch modules share no weights",
            where=space.where,
            hint="build the space with `Network`, or leave out --supernet and --sampler direct",
        )
    return found


def _apart(proto: Any) -> int:
    """Layers of weights that no batch normalisation follows."""
    followed = {node.input[0] for node in proto.graph.node if node.op_type == "BatchNormalization"}
    return sum(node.op_type in _LAYERS and node.output[0] not in followed for node in proto.graph.node)


def largest(space: Space, config: Config, closed: Sequence[str]) -> dict[str, Value]:
    """The choice with the most of some parameters."""
    return {name: max(space.parameters[name]) if name in closed else value for name, value in config.items()}


def train_supernet(
    space: Space,
    population: Sequence[Config],
    part: Part,
    classes: int,
    recipe: Recipe,
    seed: int,
    way: Way = MANY,
) -> dict[str, Array]:
    """The shared weights, by key.

    Args:
        population: choices among which the networks are that matter; those that are trained have its values.
        recipe: its `epochs` are those of the supernet.
        way: `MANY` or `FEW`.

    Raises:
        UsageError: networks are PyTorch modules, or none of the population has one of the most of each parameter.
    """
    torch = torch_module()
    members = Members(space, population, part.x.shape[1:], classes)
    population = members.population
    if not population:
        raise UsageError("the most of every elastic parameter means no network", where=space.where)
    random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    x, y = torch.tensor(part.x), torch.tensor(part.y)
    steps = -(-len(x) // recipe.batch)
    leaves = list(members.shared.values())
    rate = recipe.rate * (way.rate if members.normalized else 1.0)
    optimizer = torch.optim.AdamW(parameter_groups(leaves, recipe.decay), rate)
    schedule = one_cycle(torch, optimizer, rate, recipe.epochs * steps)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    deviation = float(x.std())
    for epoch in range(recipe.epochs):
        closed = _closed(space, epoch / recipe.epochs, way)
        for chosen in torch.randperm(len(x), generator=generator).split(recipe.batch):
            if len(chosen) < 2:
                continue
            batch = varied(torch, x[chosen], recipe, deviation, generator)
            optimizer.zero_grad(set_to_none=False)
            config = population[int(random.integers(len(population)))]
            taught = members(largest(space, config, space.elastic))(batch)
            loss_of(taught, y[chosen]).backward()
            said = torch.softmax(taught.detach(), 1)
            others = (population[int(i)] for i in random.integers(len(population), size=SMALLER))
            for other in () if closed is None else others:
                found = torch.log_softmax(members(largest(space, other, closed or ()))(batch), 1)
                (-(said * found).sum(1).mean() / SMALLER).backward()
            optimizer.step()
            schedule.step()
    return {key: value.detach().numpy() for key, value in members.shared.items()}


def _closed(space: Space, done: float, way: Way) -> tuple[str, ...] | None:
    """The elastic parameters of which networks still have the most; None while there is the largest alone."""
    if done < way.alone and space.elastic:
        return None
    stages = len(space.elastic)
    opened = 1 + int((done - way.alone) / (way.opened - way.alone) * stages) if stages else 0
    return space.elastic[opened:]


def with_inherited(proto: Any, shared: Mapping[str, Array], part: Part) -> Any:
    """A network with its part of the shared weights, and the statistics that samples have in it."""
    torch = torch_module()
    net = Trainable(inherited(proto, shared))
    batches = torch.tensor(part.x).split(_RECALIBRATED)
    with torch.no_grad():
        for place, batch in enumerate(batches):
            net.momentum = 1 / (1 + place)
            net(batch)
    net.momentum = MOMENTUM
    return net.model()
