"""Graph passes: pure functions `Graph -> Graph`, run in this order, verified after each."""

from __future__ import annotations

from tinycompile.ir import Graph, Pass, verify
from tinycompile.passes.eliminate_channels import eliminate_channels
from tinycompile.passes.fold_constants import fold_constants
from tinycompile.passes.fold_pad import fold_pad
from tinycompile.passes.own_outputs import own_outputs

PIPELINE: tuple[tuple[Pass, str], ...] = (
    (Graph.without_dead, "nodes that nobody reads cost RAM and time"),
    (fold_constants, "what depends on no input needn't be computed on the device, and kernels read it from RAM"),
    (
        own_outputs,
        "an output that is an input, a constant or another output has memory of its own; constants are final here",
    ),
    (fold_pad, "a padded copy of a tensor is larger than the tensor, and takes time to make"),
    (eliminate_channels, "a constant channel is a bias; what nobody reads needn't be computed"),
)


def optimize(graph: Graph) -> Graph:
    """Run the pipeline.

    Raises:
        ValueError: a pass broke an invariant; names it and those before it.
    """
    verify(graph, "import")
    done = list[str]()
    for rewrite, _ in PIPELINE:
        done.append(rewrite.__name__)
        graph = rewrite(graph)
        verify(graph, ", ".join(done))
    return graph
