"""TensorFlow Lite for Microcontrollers as the `tflite-micro` wheel has it: reference kernels, not CMSIS-NN's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ARENA_BYTES = 1 << 22


def run(model: bytes, inputs: Sequence[np.ndarray], outputs: int = 1) -> list[np.ndarray]:
    """One inference. Raises ImportError where the wheel isn't installed, RuntimeError where it refuses the model."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    for index, value in enumerate(inputs):
        interpreter.set_input(value, index)
    interpreter.invoke()
    return [interpreter.get_output(index) for index in range(outputs)]
