"""Random graphs with states: delay lines, accumulators, ring buffers, states that swap, and states nobody waits for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.support.random_graph import RandomGraph
from tinycompile.ir import Array, Graph, State, verify


def with_states(seed: int, steps: int = 8, *, fusable: bool = False) -> Graph:
    """A random graph, some of whose inputs are states.

    Every state's next value is any value of its shape: computed before or after the state is read, an input, an output,
    a constant, another state, the same as another one's, or the state itself.
    """
    random = RandomGraph(seed, fusable=fusable)
    for _ in range(int(random.rng.integers(1, 5))):
        random.input()
    random.types["k"] = random.types["in0"]
    random.constants["k"] = random.rng.integers(-128, 128, random.types["k"].shape).astype(np.int8)
    grown = random.grow(steps)
    graph = replace(grown, types=random.types, constants=random.constants)
    found = list[State]()
    for name in graph.inputs[1:]:
        t = graph.types[name]
        alike = [other for other, u in graph.types.items() if (u.shape, u.dtype) == (t.shape, t.dtype)]
        following = alike[int(random.rng.integers(len(alike)))]
        found.append(State(name, random.rng.integers(-128, 128, t.shape).astype(np.int8), following))
    graph = replace(graph, inputs=graph.inputs[:1], states=tuple(found))
    verify(graph)
    return graph


def sequence(graph: Graph, steps: int, seed: int = 0) -> list[list[Array]]:
    """Random int8 inputs of so many steps."""
    rng = np.random.default_rng(seed)
    shapes = [graph.types[name].shape for name in graph.inputs]
    return [[rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes] for _ in range(steps)]
