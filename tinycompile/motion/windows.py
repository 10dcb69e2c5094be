"""Windows of recordings, to train a model with that gets the same from its front end."""

from __future__ import annotations

import numpy as np

from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32, Array
from tinycompile.errors import SamplesError
from tinycompile.ir import TensorType
from tinycompile.motion.front_end import Motion, front_end


def windows(motion: Motion, samples: Array, steps: int) -> Array:
    """Windows of a recording, one for each hop: float32 (hops, steps, channels), or (hops, channels, steps). The first
    ones have zeros in front of the recording.

    Args:
        samples: int16 (n, channels); what doesn't fill a hop at the end is left out.
        steps: of a window.

    Raises:
        SamplesError: these are no such samples. UsageError: a hop is longer than the window.
    """
    if samples.dtype != np.int16 or samples.ndim != 2 or samples.shape[1] != motion.channels:
        found = f"{samples.dtype}{list(samples.shape)}"
        raise SamplesError(
            "windows are made of samples of a recording", why=f"int16[n, {motion.channels}] is wanted, not {found}"
        )
    shape = (1, motion.channels, steps) if motion.channels_first else (1, steps, motion.channels)
    graph = front_end(motion, "window", TensorType(shape, FLOAT32), "windows")
    hops = samples[: len(samples) // motion.hop * motion.hop].reshape(-1, 1, motion.hop, motion.channels)
    found = interpreter.steps(graph, [[hop] for hop in hops])
    return np.concatenate([np.zeros((0, *shape[1:]), np.float32), *(values["window"] for values in found)])
