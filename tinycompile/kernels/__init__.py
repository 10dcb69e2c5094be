"""The kernels: one module per technique, found by listing this package; see `base` for what a kernel is."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import cache

from tinycompile.errors import UnsupportedError
from tinycompile.ir import Graph, Site
from tinycompile.kernels.base import Isa, Kernel, candidates
from tinycompile.numerics.latitude import Latitude


@cache
def _load_all() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def kernels_of(site: Site, isa: Isa) -> list[Kernel]:
    """Every kernel that can compute a node on this core; none if there is none."""
    _load_all()
    return list(candidates(site, isa))


def kernels_for(graph: Graph, isa: Isa, latitude: Latitude | None = None) -> list[list[Kernel]]:
    """Every kernel that can compute each node on this core.

    Args:
        latitude: of all nodes, as in `Site`.

    Raises:
        UnsupportedError: all nodes that no kernel can compute.
    """
    _load_all()
    choices = [list(candidates(replace(graph.site(node), latitude=latitude), isa)) for node in graph.nodes]
    problems = [
        (f"{node.op.kind} {node.name!r}", f"no kernel for this variant on {isa.core}")
        for node, found in zip(graph.nodes, choices, strict=True)
        if not found
    ]
    if problems:
        raise UnsupportedError(problems, where=graph.name)
    return choices
