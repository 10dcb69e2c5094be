"""What declared states are in each step of a calibration sequence: computed by the float model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.frontend.declared_states import longer_axis, newest
from tinycompile.frontend.onnx_file import OnnxModel, SourceValue
from tinycompile.quantize.execution import Sample, session_of


def check_states(states: Mapping[str, str], model: OnnxModel, where: str) -> None:
    """Raises UsageError unless the model has such inputs and outputs, the two of a state of one type and shape, or the
    output longer along one axis, and has other inputs as well.
    """
    inputs, outputs = ({value.name: value for value in edges} for edges in (model.inputs, model.outputs))
    for role, names, known in (("input", states, inputs), ("output", states.values(), outputs)):
        for name in names:
            if name not in known:
                raise UsageError(
                    f"--state: the model has no {role} {name!r}", where=where, hint=f"its {role}s: {', '.join(known)}"
                )
    for name, following in states.items():
        now, then = inputs[name], outputs[following]
        fits = now.shape == then.shape or longer_axis(now.shape, then.shape) is not None
        if following in model.shapes and not (fits and now.type_name == then.type_name):
            raise UsageError(
                f"--state {name}={following}: the output can't be the input of the next step",
                where=where,
                why=f"{name} is {_described(now)}, {following} is {_described(then)}",
                hint="export the model with one shape and type for both; along one axis the output may be longer",
            )
    if states and len(states) == len(inputs):
        raise UsageError("no input would be left of the model", where=where, why="all are declared as states")


def _described(value: SourceValue) -> str:
    return f"{value.type_name}[{'x'.join(map(str, value.shape))}]"


def with_states(samples: Sequence[Sample], model: OnnxModel, states: Mapping[str, str]) -> list[Sample]:
    """The samples as steps of one sequence, each with the states that those before it lead to; they begin with zeros.

    Args:
        states: outputs by input.
    """
    inputs = {value.name: value for value in model.inputs}
    session, found = session_of(model.proto), list[Sample]()
    carried = {name: np.zeros(inputs[name].shape, inputs[name].type_name) for name in states}
    for sample in samples:
        step = {**sample, **carried}
        results = session.run(list(states.values()), step)
        carried = {n: newest(np.asarray(value), inputs[n].shape) for n, value in zip(states, results, strict=True)}
        found.append(step)
    return found
