"""com.microsoft's DynamicQuantizeLSTM against onnxruntime: directions, weights, states, functions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

import onnx
import onnxruntime
from onnx import helper, numpy_helper

from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import expand, import_model, is_quantized
from tinycompile.frontend.onnx_file import read_proto, static_model
from tinycompile.ir import Graph

INPUTS, HIDDEN = 3, 8


def model(
    steps: int = 5,
    *,
    batch: int | str = 1,
    sequences: int = 1,
    opset: int = 17,
    dtype: type[np.generic] = np.int8,
    by_channel: bool = False,
    biased: bool = True,
    given: bool = False,
    looks: bool = False,
    lengths: bool = False,
    zero_rank: int = 0,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(model, its inputs). `given`: the states are inputs. `looks`: with peepholes. `by_channel`: scales of weights."""
    rng, columns = np.random.default_rng(0), 4 * HIDDEN
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    signed = dtype is np.int8
    low, high, zero = (-127, 128, 0) if signed else (0, 256, 120)
    shape = (directions, columns) if by_channel else (directions,)
    values: dict[str, np.ndarray] = {
        "w": rng.integers(low, high, (directions, INPUTS, columns)).astype(dtype),
        "r": rng.integers(low, high, (directions, HIDDEN, columns)).astype(dtype),
        "w_scale": rng.uniform(0.003, 0.01, shape).astype(np.float32),
        "r_scale": rng.uniform(0.003, 0.01, shape).astype(np.float32),
        "w_zero": np.full(shape[: zero_rank or 2], zero, dtype),
        "r_zero": np.full(shape[: zero_rank or 2], zero + (not signed), dtype),
    }
    floats = {"b": (directions, 2 * columns), "p": (directions, 3 * HIDDEN)}
    floats |= dict.fromkeys(("h", "c"), (directions, sequences, HIDDEN))
    values |= {name: rng.normal(0, 0.5, s).astype(np.float32) for name, s in floats.items()}
    operands = ["x", "w", "r", "b" * biased, "l" * lengths, "h" * given, "c" * given, "p" * looks]
    operands += ["w_scale", "w_zero", "r_scale", "r_zero"]
    feeds = {"x": rng.normal(0.3, 1, (steps, sequences, INPUTS)).astype(np.float32)}
    feeds |= {name: values[name] for name in ("h", "c") if given}
    values["l"] = np.full(sequences, steps, np.int32)
    known = [numpy_helper.from_array(v, name) for name, v in values.items() if name in operands and name not in feeds]
    results = ["y", "y_h", "y_c"]
    node = helper.make_node(
        "DynamicQuantizeLSTM", operands, results, domain="com.microsoft", hidden_size=HIDDEN, **attributes
    )
    declared: dict[str, list[int | str]] = {name: list(value.shape) for name, value in feeds.items()} | {
        "x": [steps, batch, INPUTS]
    }
    inputs = [helper.make_tensor_value_info(name, 1, shape) for name, shape in declared.items()]
    outputs = [helper.make_tensor_value_info(name, 1, None) for name in results]
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "g", inputs, outputs, known)
    return helper.make_model(graph, opset_imports=imports, ir_version=8), feeds


def imported(proto: onnx.ModelProto, feeds: dict[str, np.ndarray], folder: Path) -> Graph:
    onnx.save(proto, str(folder / "m.onnx"))
    shapes = {name: value.shape for name, value in feeds.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return import_model(static_model(expand(read_proto(folder / "m.onnx")), "m", shapes), "m", "m", floats="all")


USES: list[dict[str, Any]] = [
    {},
    {"dtype": np.uint8, "direction": "reverse", "given": True, "opset": 11},
    {"direction": "bidirectional", "by_channel": True, "biased": False, "clip": 0.3, "opset": 21},
    {"direction": "bidirectional", "dtype": np.uint8, "by_channel": True, "given": True, "batch": "n"},
    {"looks": True, "clip": 0.7},
    {"looks": True, "input_forget": 1, "biased": False},
    {"activations": ["HardSigmoid", "ScaledTanh", "Affine"], "activation_alpha": [0.3, 0.7, 0.9],
     "activation_beta": [0.4, 1.1, 0.1]},
    {"direction": "bidirectional", "steps": 60},
]  # fmt: skip


@pytest.mark.parametrize("use", USES, ids=str)
def test_against_onnxruntime(use: dict[str, Any], tmp_path: Path) -> None:
    """A state that is rounded to another of its 256 values would change the results by 1e-4 and more."""
    proto, feeds = model(**use)
    assert is_quantized(proto)
    graph = imported(proto, feeds, tmp_path)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)
    values = interpreter.run(graph, list(feeds.values()))
    for name, right in zip(graph.outputs, expected, strict=True):
        np.testing.assert_allclose(values[name].reshape(right.shape), right, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        ({"batch": 2, "sequences": 2}, "a batch of 2, supported is a batch of 1: how many sequences"),
        ({"batch": "n", "sequences": 2}, "Squeeze 'y/only_a_batch_of_1' (node 0): axis 1 has 2 elements"),
        ({"lengths": True}, "sequences of different lengths (the operand sequence_lens)"),
        ({"direction": "bidirectional", "by_channel": True, "zero_rank": 1}, "behind the tensor's end"),
        ({"direction": "sideways"}, "the attribute direction = 'sideways'"),
        ({"layout": 0}, "the attribute layout is not supported"),
        ({"activations": ["Sine"] * 3}, "its activation Sine is unknown"),
    ],
)
def test_reasons(use: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as error:
        imported(*model(**use), tmp_path)
    assert reason in str(error.value)


@pytest.mark.parametrize("steps", [3, 60])
def test_as_c(steps: int, tmp_path: Path) -> None:
    """Written out, and as a loop."""
    from tests.support.onnx_nodes import run_as_c

    proto, feeds = model(steps)
    graph = imported(proto, feeds, tmp_path)
    assert any(type(node.op).__name__ == "WhileLoop" for node in graph.nodes) == (steps == 60)
    values = interpreter.run(graph, list(feeds.values()))
    for name, found in zip(graph.outputs, run_as_c(graph, list(feeds.values()), tmp_path), strict=True):
        np.testing.assert_allclose(found, values[name], rtol=1e-5, atol=2e-6)
