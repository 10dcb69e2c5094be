"""The trainer of candidates: AdamW, one cycle of the learning rate, moved and noisy samples, averaged weights.

One thread and a seed: the same network is trained to the same weights by whichever worker has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinycompile.search.data import Part
from tinycompile.search.torch_network import Trainable, TrainableModule, torch_module, trainable

_WARM = 0.2
"""The part of the steps in which the rate rises."""
_CHECKED = 1000
"""Samples of a batch that is only looked at."""


@dataclass(frozen=True)
class Recipe:
    """How candidates are trained.

    Attributes:
        epochs: how often each sample is seen.
        batch: samples of a step.
        rate: the highest learning rate.
        decay: of weights, as AdamW has it.
        smoothing: of labels.
        shift: pixels or steps by which samples are moved at the most.
        noise: standard deviation of what is added to samples, in their own.
        averaged: the weights that count are an exponential average over about so many epochs.
    """

    epochs: int = 30
    batch: int = 32
    rate: float = 4e-3
    decay: float = 1e-2
    smoothing: float = 0.1
    shift: int = 1
    noise: float = 0.0
    averaged: float = 1.0


Stop = Callable[[int, float], bool]
"""Told an epoch and the validation accuracy reached: whether to give up."""


def train(
    network: Any, part: Part, judged: Part, recipe: Recipe, seed: int, stop: Stop | None = None, every: int = 0
) -> tuple[Any, float]:
    """(the ModelProto with trained weights, accuracy on the judged samples).

    Args:
        network: a ModelProto, or a torch module.
        judged: what `stop` is told the accuracy on, after every `every` epochs.
    """
    torch = torch_module()
    generator = torch.Generator().manual_seed(seed)
    net = trainable(network, part.x.shape[1:])
    net.training = True
    x, y = torch.tensor(part.x), torch.tensor(part.y)
    steps = -(-len(x) // recipe.batch)
    optimizer = torch.optim.AdamW(parameter_groups(net.parameters(), recipe.decay), recipe.rate)
    schedule = one_cycle(torch, optimizer, recipe.rate, recipe.epochs * steps)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    kept, keep = net.state(), max(0.0, 1 - 1 / (recipe.averaged * steps))
    deviation = float(x.std())
    for epoch in range(recipe.epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(recipe.batch):
            if len(chosen) < 2:
                continue  # a batch normalisation needs two
            loss = loss_of(net(varied(torch, x[chosen], recipe, deviation, generator)), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            _average(kept, net, min(keep, (1 + schedule.last_epoch) / (10 + schedule.last_epoch)))
        asked = every and (epoch + 1) % every == 0 and epoch + 1 < recipe.epochs
        if asked and stop is not None and stop(epoch + 1, _accuracy(net, kept, judged)):
            break
    found = _accuracy(net, kept, judged)
    net.load(kept)
    return net.model(), found


def accuracy_of(proto: Any, part: Part) -> float:
    """The part of samples whose class a network says."""
    net = Trainable(proto)
    return _accuracy(net, net.state(), part)


def one_cycle(torch: Any, optimizer: Any, rate: float, steps: int) -> Any:
    """The schedule of the learning rate; too few steps for a rise begin at its height."""
    rises = _WARM if _WARM * steps > 1 else 0.0
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=rises)


def parameter_groups(parameters: Sequence[Any], decay: float) -> list[dict[str, Any]]:
    """Scales and biases don't decay."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _average(kept: dict[str, Any], net: Trainable | TrainableModule, keep: float) -> None:
    for name, value in net.values():
        if value.is_floating_point():
            kept[name].lerp_(value.detach(), 1 - keep)


def _accuracy(net: Trainable | TrainableModule, state: dict[str, Any], part: Part) -> float:
    """With these weights; those of the moment stay."""
    torch, own = torch_module(), net.state()
    net.load(state)
    net.training = False
    with torch.no_grad():
        x = torch.tensor(part.x).split(_CHECKED)
        found = torch.cat([net(each).argmax(1) for each in x])
    net.training = True
    net.load(own)
    return float((found == torch.tensor(part.y)).double().mean())


def varied(torch: Any, x: Any, recipe: Recipe, deviation: float, generator: Any) -> Any:
    """Samples moved by some pixels, each by others, and with noise."""
    shift = recipe.shift
    if shift and x.ndim == 4:
        rows = shift if x.shape[2] > 1 else 0
        padded = torch.nn.functional.pad(x, (shift, shift, rows, rows))
        down = torch.randint(0, 2 * rows + 1, (len(x), 1), generator=generator) + torch.arange(x.shape[2])
        right = torch.randint(0, 2 * shift + 1, (len(x), 1), generator=generator) + torch.arange(x.shape[3])
        places = torch.arange(len(x))[:, None, None]
        x = padded[places, :, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)
    if recipe.noise:
        x = x + recipe.noise * deviation * torch.randn(x.shape, generator=generator)
    return x.contiguous()
