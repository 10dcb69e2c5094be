"""A node as another operator's, whose kernels then are offered for it, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinycompile.ir import Op, Site

Rewriting = Callable[[Site], Site | None]
_EQUIVALENTS: dict[type[Op], list[Rewriting]] = {}


def equivalent_for(op: type[Op]) -> Callable[[Rewriting], Rewriting]:
    """Decorator: a way to see a node as another operator's, with the same inputs, outputs and results.

    That operator's kernels are then offered for it, too, and cost decides.
    """

    def register(rewrite: Rewriting) -> Rewriting:
        _EQUIVALENTS.setdefault(op, []).append(rewrite)
        return rewrite

    return register


def equivalents(site: Site) -> Iterator[Site]:
    """The other operators' nodes that it can be seen as."""
    for rewrite in _EQUIVALENTS.get(type(site.node.op), ()):
        other = rewrite(site)
        if other is not None:
            yield other
