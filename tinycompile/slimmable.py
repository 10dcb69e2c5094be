"""Networks of several widths in one firmware: the narrower ones read the weights of the widest one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tinycompile.errors import TinycompileWarning, UsageError
from tinycompile.ir import Array, Graph
from tinycompile.kernels.array_pieces import Lender
from tinycompile.kernels.base import Constant
from tinycompile.layout import Layout
from tinycompile.planner import Planned
from tinycompile.plans import Plans

ROUNDS = 3
"""How often the narrower networks are planned: again where the widest one's plan has changed beside them."""

Place = Callable[[Sequence[Plans]], tuple[list[Planned], Layout]]


def constants_of(planned: Planned) -> list[Constant]:
    """All that its kernels read."""
    return [constant for kernel in planned.kernels for constant in kernel.constants]


def placed_together(plans: Sequence[Plans], place: Place) -> tuple[list[Planned], Layout]:
    """The plans of several widths, the widest first: it is planned as if it was alone.

    Args:
        place: as `lowering.place`.
    """
    every: list[Plans] = list(plans)
    limited = False
    planned, layout = place(every[:1])
    for _ in range(ROUNDS):
        widest = planned[0]
        lender = Lender(constants_of(widest))
        planned, layout = place([every[0], *(each.sharing(lender, widest.arena_bytes) for each in every[1:])])
        sizes = list(map(_flash_bytes, planned))
        shares = [each.share_for(size, sum(sizes)) for each, size in zip(every, sizes, strict=True)]
        if not limited and min(shares) < 1:
            every, limited = [each.with_share(share) for each, share in zip(every, shares, strict=True)], True
            planned, layout = place(every[:1])
        elif _same(constants_of(widest), constants_of(planned[0])):
            return planned, layout
    raise UsageError("no plan of the widest network stays as it is beside the narrower ones", hint="a larger --flash")


def _flash_bytes(planned: Planned) -> int:
    """Of constants and code, estimated."""
    code = {kernel.function: kernel.code_bytes for kernel in planned.kernels}
    return planned.constant_bytes + sum(code.values())


def _same(some: Sequence[Constant], others: Sequence[Constant]) -> bool:
    return len(some) == len(others) and all(
        a is b or (a.layout == b.layout and np.array_equal(a.values, b.values))
        for a, b in zip(some, others, strict=True)
    )


def check_widths_agree(sources: Sequence[Path], graphs: Sequence[Graph]) -> None:
    """Raises UsageError: a narrower network has other inputs or outputs than the widest, or states."""
    widest = graphs[0]
    for source, graph in zip(sources, graphs, strict=True):
        if graph.states:
            raise UsageError(
                "a network with states can't change its width",
                where=str(source),
                why="what a step leaves for the next one has another meaning at another width",
                hint="without --width, or without --state",
            )
        for kind in ("input", "output"):
            mine, theirs = _edges(graph, kind), _edges(widest, kind)
            if mine != theirs:
                raise UsageError(
                    f"the {kind}s are others than the widest network's",
                    where=str(source),
                    why=f"{mine} here, {theirs} in {sources[0].name}",
                    hint="networks of the same task: only what is between inputs and outputs gets narrower",
                )


def _edges(graph: Graph, kind: str) -> str:
    names = graph.inputs if kind == "input" else graph.outputs
    return ", ".join(f"{graph.types[name].dtype.name}{graph.types[name].shape}" for name in names) or "none"


def check_sharing(sources: Sequence[Path], planned: Sequence[Planned]) -> None:
    """Warns of a narrower network that reads none of the widest one's constants.

    Raises:
        UsageError: no layer's weights are a part of the widest one's, as the networks are others.
    """
    for source, each in zip(sources[1:], planned[1:], strict=True):
        if any(constant.lent for constant in constants_of(each)):
            continue
        differences = _differences(planned[0].graph, each.graph)
        why = next(filter(None, differences), None)
        if why is not None and all(differences):
            raise UsageError(
                f"no weights of it are parts of {sources[0].name}'s",
                where=str(source),
                why=why,
                hint="a network of the same supernet (docs/slimmable.md), or two models: `tinycompile build a b`",
            )
        text = f"{source.name} shares no weights: they are too few, or there is no RAM to put them together in"
        if why is not None:
            text = f"{source.name} shares no weights: those that it could share are too few, and {why}"
        warnings.warn(text, TinycompileWarning, stacklevel=2)


def _differences(wide: Graph, narrow: Graph) -> list[str | None]:
    """Of each layer whose weights aren't a leading block of those of the layer at its place; None of the others."""
    found = list[str | None]()
    for (theirs, w), (mine, n) in zip(_weights(wide), _weights(narrow), strict=False):
        block = tuple(slice(size) for size in n.shape)
        if w.ndim != n.ndim or w[block].shape != n.shape:
            found.append(f"{_shape(n)} of layer {mine!r} can't be a part of {_shape(w)} of {theirs!r}")
            continue
        differs = 1 - np.count_nonzero(w[block] == n) / max(1, n.size)
        text = f"{differs:.0%} of the weights of layer {mine!r} are others than those of {theirs!r}"
        found.append(text if differs else None)
    return found


def _weights(graph: Graph) -> list[tuple[str, Array]]:
    """(layer, its largest constant) of those that have any with several axes."""
    found = list[tuple[str, Array]]()
    for node in graph.nodes:
        arrays = [graph.constants[name] for name in node.inputs if name in graph.constants]
        matrices = [array for array in arrays if array.ndim > 1]
        if matrices:
            found.append((node.name, max(matrices, key=lambda array: array.size)))
    return found


def _shape(weights: Array) -> str:
    return f"[{'x'.join(map(str, weights.shape))}]"
