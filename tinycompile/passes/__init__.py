"""Graph passes: pure functions `Graph -> Graph`, run in this order, verified after each."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.ir import Graph, Pass, verify
from tinycompile.passes.eliminate_channels import eliminate_channels
from tinycompile.passes.fold_constants import fold_constants
from tinycompile.passes.fold_pad import fold_pad
from tinycompile.passes.fuse_integer_products import fuse_integer_products
from tinycompile.passes.fuse_norms import fuse_norms
from tinycompile.passes.merge_reshapes import merge_reshapes
from tinycompile.passes.own_outputs import own_outputs
from tinycompile.passes.own_states import own_states
from tinycompile.passes.roll_states import roll_states
from tinycompile.passes.shorten_states import shorten_states

PIPELINE: tuple[tuple[Pass, str], ...] = (
    (Graph.without_dead, "nodes that nobody reads cost RAM and time"),
    (shorten_states, "what a step undoes of the one before needn't be done, and integers take less RAM than floats"),
    (roll_states, "rows that are kept needn't be copied to join new ones, and back"),
    (fold_constants, "what depends on no input needn't be computed on the device, and kernels read it from RAM"),
    (
        own_outputs,
        "an output that is an input, a constant or another output has memory of its own; constants are final here",
    ),
    (merge_reshapes, "what follows channels and layouts sees one reshape where a file has several"),
    (fuse_norms, "a normalisation of floats that is written out has up to nine values between its operators"),
    (fuse_integer_products, "sums that are floats at once take no RAM of their own, and no loops"),
    (fold_pad, "a padded copy of a tensor is larger than the tensor, and takes time to make"),
    (own_states, "a state's next value can be written into its memory, once nobody reads the old one any more"),
    (eliminate_channels, "a constant channel is a bias; what nobody reads needn't be computed"),
)


OF_WEIGHTS: tuple[Pass, ...] = (eliminate_channels,)
"""The passes whose result depends on the weights; they come last."""


def optimize(graph: Graph, of_weights: Sequence[Pass] = OF_WEIGHTS) -> Graph:
    """Run the pipeline.

    Args:
        of_weights: in place of `OF_WEIGHTS`.

    Raises:
        ValueError: a pass broke an invariant; names it and those before it.
    """
    verify(graph, "import")
    done = list[str]()
    for rewrite in (*(each for each, _ in PIPELINE if each not in OF_WEIGHTS), *of_weights):
        done.append(rewrite.__name__)
        rewritten = rewrite(graph)
        if rewritten is not graph:
            graph = rewritten
            verify(graph, ", ".join(done))
    return graph
