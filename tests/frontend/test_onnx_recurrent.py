"""LSTM, GRU and RNN against onnxruntime: directions, lengths, states, functions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import expand, import_model
from tinycompile.frontend.onnx_file import read_proto, static_model
from tinycompile.ir import Graph

STEPS, BATCH, INPUTS, HIDDEN = 4, 2, 3, 5
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def model(
    kind: str,
    lengths: list[int] | None = None,
    *,
    biased: bool = True,
    given: bool = False,
    looks: bool = False,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(model, its inputs). `given`: states are inputs. `looks`: with peepholes."""
    rng, rows = np.random.default_rng(0), GATES[kind] * HIDDEN
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    shapes = {"w": (directions, rows, INPUTS), "r": (directions, rows, HIDDEN), "b": (directions, 2 * rows)}
    shapes |= {"h": (directions, BATCH, HIDDEN), "c": (directions, BATCH, HIDDEN), "p": (directions, 3 * HIDDEN)}
    values = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    operands = ["x", "w", "r", "b" if biased else "", "l" if lengths else "", "h"]
    operands += ["c", *(["p"] if looks else [])] if kind == "LSTM" else []
    states = [name for name in ("h", "c") if name in operands]
    feeds = {"x": rng.normal(0, 1, (STEPS, BATCH, INPUTS)).astype(np.float32)}
    feeds |= {name: values.pop(name) for name in states if given}
    known = [numpy_helper.from_array(value, name) for name, value in values.items() if name in operands]
    known += [numpy_helper.from_array(np.array(lengths, np.int32), "l")] if lengths else []
    results = ["y", *(f"{state}_last" for state in states)]
    node = helper.make_node(kind, operands, results, hidden_size=HIDDEN, **attributes)
    inputs = [helper.make_tensor_value_info(name, 1, value.shape) for name, value in feeds.items()]
    outputs = [helper.make_tensor_value_info(name, 1, None) for name in results]
    graph = helper.make_graph([node], "g", inputs, outputs, known)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), feeds


def imported(proto: onnx.ModelProto, feeds: dict[str, np.ndarray], path: Path) -> Graph:
    onnx.save(proto, str(path))
    shapes = {name: value.shape for name, value in feeds.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return import_model(static_model(expand(read_proto(path)), "m", shapes), "m", "m", floats="all")


USES: list[dict[str, Any]] = [
    *({"kind": kind, **use} for kind in GATES for use in (
        {},
        {"direction": "reverse", "given": True},
        {"direction": "bidirectional", "given": True, "lengths": [4, 2]},
        {"direction": "bidirectional", "biased": False, "clip": 0.3},
    )),
    {"kind": "LSTM", "looks": True, "lengths": [4, 4]},
    {"kind": "LSTM", "looks": True, "input_forget": 1},
    {"kind": "LSTM", "activations": ["HardSigmoid", "Relu", "Softsign"]},
    {"kind": "GRU", "linear_before_reset": 1, "clip": 0.5},
    {"kind": "GRU", "activations": ["Sigmoid", "Softplus"]},
    {
        "kind": "RNN",
        "direction": "bidirectional",
        "activations": ["LeakyRelu", "ScaledTanh"],
        "activation_alpha": [0.2, 0.7],
        "activation_beta": [0.5],
    },
    {"kind": "RNN", "activations": ["Affine"], "activation_alpha": [0.3], "activation_beta": [0.1]},
    {"kind": "RNN", "activations": ["Elu"]},
    {"kind": "RNN", "activations": ["ThresholdedRelu"], "activation_alpha": [0.3]},
]  # fmt: skip


def with_weights_as_inputs(
    proto: onnx.ModelProto, feeds: dict[str, np.ndarray]
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The same with everything computed at run time: the layer is written out."""
    changed, known = onnx.ModelProto(), {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    changed.CopyFrom(proto)
    del changed.graph.initializer[:]
    for name, value in known.items():
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        changed.graph.input.append(helper.make_tensor_value_info(name, kind, value.shape))
    return changed, {**feeds, **known}


def with_quantized_weights(proto: onnx.ModelProto, *, per_row: bool) -> onnx.ModelProto:
    """The same with W and R of int8 behind DequantizeLinear, with a scale for each row or one."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    del changed.graph.initializer[:]
    for initializer in proto.graph.initializer:
        name, value = initializer.name, numpy_helper.to_array(initializer)
        if name not in ("w", "r"):
            changed.graph.initializer.append(initializer)
            continue
        # Directions share the scales of an axis.
        scale = np.abs(value).max((0, 2) if per_row else None).astype(np.float32) / np.float32(127)
        integers = np.rint(value / (scale[:, None] if per_row else scale)).astype(np.int8)
        parts = {f"{name}_q": integers, f"{name}_scale": scale, f"{name}_zero": np.zeros(scale.shape, np.int8)}
        changed.graph.initializer.extend(numpy_helper.from_array(part, key) for key, part in parts.items())
        options = {"axis": 1} if per_row else {}
        changed.graph.node.insert(0, helper.make_node("DequantizeLinear", list(parts), [name], **options))
    return changed


@pytest.mark.parametrize("per_row", [False, True], ids=["one_scale", "scale_per_row"])
@pytest.mark.parametrize("use", [USES[i] for i in (1, 2, 6, 10, 13, 15)], ids=str)
def test_weights_of_int8(use: dict[str, Any], per_row: bool, tmp_path: Path) -> None:
    proto, feeds = model(**use)
    check(with_quantized_weights(proto, per_row=per_row), feeds, tmp_path)


def check(proto: onnx.ModelProto, feeds: dict[str, np.ndarray], folder: Path) -> None:
    """Against onnxruntime."""
    graph = imported(proto, feeds, folder / "m.onnx")
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)
    values = interpreter.run(graph, list(feeds.values()))
    for name, right in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(values[name].reshape(right.shape), right, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("use", USES, ids=str)
def test_against_onnxruntime(use: dict[str, Any], tmp_path: Path) -> None:
    constant = model(**use)
    for proto, feeds in (constant, with_weights_as_inputs(*constant)):
        check(proto, feeds, tmp_path)


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        ({"kind": "RNN", "lengths": [3, 0]}, "a sequence has no steps"),
        ({"kind": "GRU", "activations": ["Sigmoid", "Sine"]}, "its activation Sine is unknown"),
        ({"kind": "RNN", "activations": ["Tanh", "Tanh"]}, "it has 2 activations, 1 are wanted"),
    ],
)
def test_reasons(use: dict[str, Any], reason: str, tmp_path: Path) -> None:
    proto, feeds = model(**use)
    with pytest.raises(UnsupportedError) as error:
        imported(proto, feeds, tmp_path / "m.onnx")
    assert reason in str(error.value)


def test_constant_states_are_no_parameters(tmp_path: Path) -> None:
    """Of the C: an initial state that is known is an array of the layer."""
    from tests.support.onnx_nodes import run_as_c

    for use in ({"kind": "LSTM"}, {"kind": "LSTM", "given": True, "direction": "bidirectional"}):
        proto, feeds = model(**use)
        graph = imported(proto, feeds, tmp_path / "m.onnx")
        values, folder = interpreter.run(graph, list(feeds.values())), tmp_path / str(len(feeds))
        folder.mkdir()
        for name, found in zip(graph.outputs, run_as_c(graph, list(feeds.values()), folder), strict=True):
            np.testing.assert_allclose(found, values[name], rtol=1e-5, atol=2e-6)
