"""Features of recordings, to train a model with that gets the same from its front end."""

from __future__ import annotations

import numpy as np

from tinycompile import interpreter
from tinycompile.audio.front_end import FrontEnd
from tinycompile.audio.merged import front_end_graph
from tinycompile.dtypes import Array


def features(front_end: FrontEnd, samples: Array) -> Array:
    """Rows of features of a recording, to train a model with: float32[frames, features], `unit` for 1.

    Args:
        samples: int16, one channel; what doesn't fill a hop at the end is left out.
    """
    graph = front_end_graph(front_end)
    hops = samples[: len(samples) // front_end.hop * front_end.hop].reshape(-1, front_end.hop)
    steps = interpreter.steps(graph, [[hop.astype(np.int16)] for hop in hops])
    return np.concatenate([values[graph.outputs[0]] for values in steps])
