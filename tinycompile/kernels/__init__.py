"""The kernels: one module per technique, found by listing this package; see `base` for what a kernel is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import inf
from types import MappingProxyType

from tinycompile.errors import UnsupportedError
from tinycompile.ir import Graph, Node, Site
from tinycompile.kernels.base import Beaten, Kernel, candidates, decodings, never, tilings
from tinycompile.kernels.coded import coded_kernels
from tinycompile.kernels.cover import Cover, Group, fused, gatherable, matches, parts_of
from tinycompile.kernels.staged import staged
from tinycompile.numerics.latitude import Latitude
from tinycompile.targets.core import Core


@cache
def _load_all() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def kernels_of(site: Site, core: Core) -> list[Kernel]:
    """Every kernel that can compute a node on this core; none if there is none.

    Raises:
        UnsupportedError: a kernel's arithmetic could not be proved, which takes a defect of ours.
    """
    _load_all()
    try:
        return list(candidates(site, core))
    except (ArithmeticError, ValueError) as error:
        reason = f"its kernels could not be made ({error}): a defect of tinycompile, please report it with the model"
        raise UnsupportedError([(_label(site.node), reason)], hint="another target, or this layer without") from error


def copying_kernels_of(
    site: Site, core: Core, kernels: Sequence[Kernel], places: int = 1, beaten: Beaten = never
) -> list[Kernel]:
    """Kernels that bring their constants to RAM first: all of them, or tile by tile.

    Args:
        kernels: others for the node, such as `kernels_of` finds.
        places: for tiles in scratch: 2 where one is filled while the other is read.
        beaten: which nobody wants, and which aren't made.
    """
    whole = [copying for kernel in kernels if (copying := staged(kernel, beaten)) is not None]
    return [*whole, *tilings(site, core, places, beaten)]


def coded_kernels_of(site: Site, core: Core, kernels: Sequence[Kernel]) -> list[Kernel]:
    """With constants coded: of all that are the fastest with so few bytes of constants, or of these and code, and those
    with tiles.

    Args:
        kernels: others for the node, such as `kernels_of` finds.
    """
    found, least, least_flash = list[Kernel](), inf, inf
    for kernel in sorted(kernels, key=lambda kernel: (kernel.price, kernel.constant_bytes)):
        size = kernel.constant_bytes
        if size < least or size + kernel.code_bytes < least_flash:
            least, least_flash = min(least, size), min(least_flash, size + kernel.code_bytes)
            found += coded_kernels(kernel)
    return [*found, *decodings(site, core)]


def _label(node: Node) -> str:
    return f"{node.op.title} {node.name!r}"


Offer = Callable[[Site, Core], list[Kernel]]
"""The kernels of a node on a core, as `kernels_of` finds them."""


def kernels_for(
    graph: Graph,
    core: Core,
    latitude: Latitude | None = None,
    offer: Offer = kernels_of,
    known: Mapping[Node, list[Kernel]] = MappingProxyType({}),
) -> list[list[Kernel]]:
    """Every kernel that can compute each node on this core.

    Args:
        latitude: of all nodes, as in `Site`.
        known: those of nodes that are in another graph with the same operands.

    Raises:
        UnsupportedError: all nodes that no kernel can compute.
    """
    choices = [known[node] if node in known else offer(_site(graph, node, latitude), core) for node in graph.nodes]
    problems = [
        (_label(node), f"no kernel for this variant on {core.name}")
        for node, found in zip(graph.nodes, choices, strict=True)
        if not found
    ]
    if problems:
        raise UnsupportedError(problems, where=graph.name)
    return choices


def _site(graph: Graph, node: Node, latitude: Latitude | None) -> Site:
    site = graph.site(node)
    return site if latitude is None else replace(site, latitude=latitude)


class Covers:
    """Finds the covers of several nodes; kernels are looked for once, whatever the order of the graph."""

    def __init__(self, core: Core, latitude: Latitude | None = None, offer: Offer = kernels_of) -> None:
        self._core, self._latitude, self._offer = core, latitude, offer
        self._known: dict[tuple[str, ...], list[Kernel]] = {}
        self._found: dict[tuple[int, ...], tuple[Graph, list[Cover]]] = {}
        self._grouped: dict[tuple[int, ...], tuple[Graph, list[Group]]] = {}
        """By the nodes' identities: several planners ask about the same nodes in the same order."""

    def __call__(self, graph: Graph) -> list[Cover]:
        """Of one model's graph, in its order."""
        nodes = tuple(map(id, graph.nodes))
        if nodes not in self._found:
            self._found[nodes] = graph, self._covers(graph)
        return list(self._found[nodes][1])

    def _covers(self, graph: Graph) -> list[Cover]:
        _load_all()
        found = list[Cover]()
        for first, node in matches(graph):
            last = first + len(parts_of(graph.site(node)))
            found += [Cover(first, last, node, kernel) for kernel in self._kernels_of(graph, node)]
        return found

    def groups(self, graph: Graph) -> list[Group]:
        """The nodes that should follow each other, because kernels compute them together; each node once."""
        nodes = tuple(map(id, graph.nodes))
        if nodes not in self._grouped:
            self._grouped[nodes] = graph, self._groups(graph)
        return list(self._grouped[nodes][1])

    def _groups(self, graph: Graph) -> list[Group]:
        _load_all()
        found, taken = list[Group](), set[int]()
        for steps in gatherable(graph):
            if taken.isdisjoint(steps):
                node = fused([graph.nodes[step] for step in steps], graph.types)
                if kernels := self._kernels_of(graph, node):
                    found.append(Group(steps, node, kernels))
                    taken.update(steps)
        return found

    def _kernels_of(self, graph: Graph, node: Node) -> list[Kernel]:
        """Of a fused node; the same nodes have the same name, operators and types."""
        site = _site(graph, node, self._latitude)
        key = (node.name, node.op.title, *map(str, site.sig.inputs))
        if key not in self._known:
            self._known[key] = self._offer(site, self._core)
        return self._known[key]
