"""Every kernel of training steps with the operands that it has in a step: exponents and labels aren't any integers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain

import numpy as np

from tests.support.kernel_checks import M7, int8, random_values
from tests.support.several_results import first_result
from tests.training.networks import KINDS, RandomNetwork
from tinycompile.interpreter import initial, run
from tinycompile.ir import Array, Graph, Node, Signature, Site, TensorType
from tinycompile.kernels import (
    base,
    gathered_windows,
    gradients_in_two_passes,
    input_gradient_in_place,
    kernels_of,
    master_gradient_products,
    master_layer_products,
    master_weights,
    recomputed_gradients,
    trained_depthwise,
    trained_lanes,
    trained_weights,
    training_functions,
    training_gradients,
    training_layers,
    training_products,
)
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.kernels.cover import matches
from tinycompile.ops._training.losses import SquaredErrorGradient
from tinycompile.training.recompute import recomputed
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import training_step

MODULES = {
    module.__name__
    for module in (
        *(
            trained_depthwise,
            trained_lanes,
            trained_weights,
            training_functions,
            training_gradients,
            training_layers,
            training_products,
        ),
        *(recomputed_gradients, master_weights, input_gradient_in_place),
        *(gathered_windows, gradients_in_two_passes, master_gradient_products, master_layer_products),
    )
}


@cache
def step_and_values() -> tuple[Graph, dict[str, Array]]:
    """A step of a network with all operators that can be trained through; of the first layers and then of every second
    one the bias alone is.
    """
    network = RandomNetwork(13, image=(10, 9))  # windows fit, so that there are both poolings
    graph = network.chain(("inverted", *KINDS, "table"))
    whole = ", ".join(node.name for node in layers_of(graph)[4::2])
    step = recomputed(training_step(graph, read_scheme(f"{whole}, head, biases", graph)).graph, 0)
    return step, run(step, [network.sample], initial(step))


def cases() -> list[tuple[Factory, Site]]:
    """For a harness that looks at the first result alone."""
    step, _ = step_and_values()
    nodes = chain(step.nodes, (node for _, node in matches(step)))
    found = list[tuple[Factory, Site]]()
    for site in (*map(step.site, nodes), squared_errors()):
        kernels_of(site, M7)  # loads every module
        for factory in base._FACTORIES.get(type(site.node.op), ()):  # pyright: ignore[reportPrivateUsage]
            kernel = factory(site, M7) if factory.__module__ in MODULES else None
            if kernel is not None and kernel.function is not None:
                found += [(factory, site)] if len(site.sig.outputs) == 1 else first_result([(factory, site)])
    return found


def squared_errors() -> Site:
    """The loss that the step doesn't have."""
    types = (int8((2, 3, 5), 0.1, 3), int8((2, 3, 5), 0.07, -20))
    op = SquaredErrorGradient()
    results = tuple(TensorType(shape, dtype) for shape, dtype in op.infer(types))
    node = Node("loss", op, ("output", "target"), ("gradient", "exponent", "loss"))
    return Site(node, Signature(types, results), (None, None))


def operands(site: Site) -> list[Array]:
    """Those of the step, then memory for other results."""
    _, values = step_and_values()
    names, types = site.node.inputs, site.sig.inputs
    rng = np.random.default_rng(0)
    given = [values[name] if name in values else random_values(t, rng) for name, t in zip(names, types, strict=False)]
    return [*given, *(np.zeros(t.shape, t.dtype.carrier) for t in types[len(given) :])]


def first_expected(kernel: Kernel, site: Site, values: Sequence[Array]) -> Array:
    """The first result of the definition."""
    count = len(site.node.inputs)
    sig = Signature(site.sig.inputs[:count], site.sig.outputs)
    return site.node.op.evaluate(sig, values[:count])[0]
