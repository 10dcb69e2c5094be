"""Whether the meaning of an imported ONNX model is onnxruntime's, as `verify` asks it of a firmware."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime

from tinycompile import interpreter
from tinycompile.ir import Graph
from tinycompile.verify.exact import ExactEvaluator
from tinycompile.verify.exact_values import CannotEvaluateError


class Agreement:
    """Compares a graph's outputs with onnxruntime's; where floats tie, those of exact sums are right, too."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, tolerance: float = 0.0) -> None:
        """`tolerance`: of floats that are computed in float32, relative to the largest one."""
        self.tolerance = tolerance
        self.graph, self.session, self.exact = graph, _session(model), ExactEvaluator(model)
        self.inputs = [value.name for value in model.graph.input]
        self.outputs = [value.name for value in model.graph.output]

    def difference(self, feeds: Mapping[str, np.ndarray]) -> str:
        """Where neither is ours, of inputs by name; "" if nowhere."""
        arrays = [feeds[name] for name in self.inputs]
        shapes = [self.graph.types[name].shape for name in self.graph.inputs]
        values = interpreter.run(self.graph, [a.reshape(s) for a, s in zip(arrays, shapes, strict=True)])
        runtime = None if self.session is None else self.session.run(self.outputs, dict(feeds))
        for index, (name, ours) in enumerate(zip(self.outputs, self.graph.outputs, strict=True)):
            allowed = [] if runtime is None else [np.asarray(runtime[index])]
            try:
                allowed.append(self.exact.value(name, feeds))
            except CannotEvaluateError:
                if not allowed:
                    raise
            found = _first_difference(values[ours], allowed, self.tolerance)
            if found:
                return f"{name}{found}"
        return ""


def _first_difference(ours: np.ndarray, allowed: list[np.ndarray], tolerance: float) -> str:
    if any(ours.dtype != each.dtype for each in allowed):
        return f": {ours.dtype} in place of {allowed[0].dtype}"
    got = ours.reshape(allowed[0].shape)
    near = tolerance * max((float(np.abs(each).max(initial=0)) for each in allowed), default=0.0) if tolerance else 0.0
    same = np.any([np.abs(got - each) <= near if near else got == each for each in allowed], axis=0)
    if np.all(same):
        return ""
    place = np.unravel_index(np.argmin(same), same.shape)
    there = [int(i) for i in place]
    return f"{there}: {got[place]} in place of {allowed[0][place]}, {int((~same).sum())} of {same.size}"


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession | None:
    """None where onnxruntime doesn't run it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # of many classes, which only derive from Exception
        return None
