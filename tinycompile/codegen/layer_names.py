"""Short names of layers, from the paths that model files have for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tinycompile.codegen.names import identifier, path_of, short_name

_LONGEST = 28
"""Characters of a name that can be read in a line with three others."""

_LONGEST_PATH = 3
"""Components of a path that tell a layer from others."""


def layer_names(layers: Sequence[tuple[str, str]], taken: set[str]) -> list[str]:
    """A C identifier for each layer, unique among `taken`, which they join.

    It is the shortest end of the layer's path that is short and no other layer's ("conv1", "layer2_conv1"); where
    others share it, with the kind of the operator ("stem_relu"); where paths are long, kind and number ("conv2d_3",
    the third of its kind).

    Args:
        layers: the name in the model's file and the operator's kind of each layer, in order.
    """
    ends = [list(_ends(path_of(name))) for name, _ in layers]
    shared = Counter(run for name, _ in layers for run in set(_runs(path_of(name))))
    kinds = Counter((end, kind) for (_, kind), found in zip(layers, ends, strict=True) for end in found)
    numbers = Counter[str]()
    names = list[str]()
    for (_, kind), found in zip(layers, ends, strict=True):
        numbers[kind] += 1
        own = ["_".join(end) for end in found if shared[end] == 1]
        with_kind = [f"{'_'.join(end)}_{kind}" for end in found if kinds[end, kind] == 1]
        short = (each for each in own + with_kind if len(each) <= _LONGEST)
        names.append(identifier(next(short, f"{kind}_{numbers[kind]}"), taken))
    return names


def told_apart_by(name: str, title: str) -> tuple[str, str]:
    """Name and kind of a layer for `layer_names`; of several nodes in one, all of theirs, and no path.

    Args:
        title: of the operator.
    """
    several = " + " in title
    return short_name(name) if several else name, title.replace(" + ", "_")


def _ends(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The last component, the last two ..."""
    for length in range(1, min(len(path), _LONGEST_PATH) + 1):
        yield path[-length:]


def _runs(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All neighbouring components that could be the end of another path."""
    for end in range(1, len(path) + 1):
        yield from _ends(path[:end])
