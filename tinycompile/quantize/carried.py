"""What declared states are in each step of a calibration sequence: computed by the float model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.frontend.onnx_file import OnnxModel
from tinycompile.quantize.execution import Sample, session_of


def check_states(states: Mapping[str, str], model: OnnxModel) -> None:
    """Raises UsageError unless the model has such inputs and outputs."""
    for role, names, values in (("input", states, model.inputs), ("output", states.values(), model.outputs)):
        known = [value.name for value in values]
        for name in names:
            if name not in known:
                raise UsageError(f"--state: the model has no {role} {name!r}", hint=f"its {role}s: {', '.join(known)}")


def with_states(samples: Sequence[Sample], model: OnnxModel, states: Mapping[str, str]) -> list[Sample]:
    """The samples as steps of one sequence, each with the states that those before it lead to; they begin with zeros.

    Args:
        states: outputs by input, of one shape.
    """
    inputs = {value.name: value for value in model.inputs}
    session, found = session_of(model.proto), list[Sample]()
    carried = {name: np.zeros(inputs[name].shape, inputs[name].type_name) for name in states}
    for sample in samples:
        step = {**sample, **carried}
        results = session.run(list(states.values()), step)
        carried = {name: np.asarray(value) for name, value in zip(states, results, strict=True)}
        found.append(step)
    return found
