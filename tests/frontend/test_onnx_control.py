"""If, Loop and Scan against onnxruntime, and why others are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import tinycompile
from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend import onnx_control
from tinycompile.frontend.onnx import import_onnx
from tinycompile.ir import Graph
from tinycompile.verify.compare import verify_build


def saved(text: str, folder: Path, opset: int = 17) -> Path:
    path = folder / "m.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> m {text}'), str(path))
    return path


def agrees(text: str, folder: Path, opset: int = 17) -> Graph:
    """The graph, whose results are onnxruntime's for some inputs."""
    path = saved(text, folder, opset)
    graph, rng = import_onnx(path, "m", floats="all"), np.random.default_rng(0)
    session = onnxruntime.InferenceSession(path)
    assert not {node.op.kind for node in graph.nodes} & {"if", "loop", "scan"}
    for given in (False, True):
        feeds = {
            name: np.full(t.shape, given) if t.dtype.name == "bool" else rng.normal(0, 1, t.shape).astype(np.float32)
            for name, t in ((name, graph.types[name]) for name in graph.inputs)
        }
        values = interpreter.run(graph, feeds)
        for name, expected in zip(graph.outputs, session.run(None, feeds), strict=True):
            np.testing.assert_allclose(values[name], expected, rtol=1e-6, err_msg=name)
            assert values[name].shape == expected.shape
    return graph


KNOWN_IF = """(float[3] x) => (float[3] y) <bool c = {1}> {
    h = Abs(x)
    y = If (c) <then_branch = a () => (float[3] p) { p = Neg(h) }, else_branch = b () => (float[3] q) { q = Exp(h) }>
}"""
IF = """(float[3] x, bool{size} c) => (float[3] y, float[3] z) {
    h = Abs(x)
    y, z = If (c) <then_branch = a () => (float[3] p, float[3] o) { p = Neg(h)  o = Identity(x) },
                   else_branch = b () => (float[3] q, float[3] r) { q = Exp(h)  r = Add(q, x) }>
}"""
LOOP = """(float[2] x) => (float[2] y, float[4, 2] rows) <int64 n = {4}, bool c = {1}> {
    y, rows = Loop (n, c, x) <body = b (int64 i, bool go, float[2] a) => (bool on, float[2] next, float[2] row)
        <float[2] w = {0.5, -2.0}> {
        on = Identity(go)
        f = Cast <to = 1> (i)
        m = Mul(a, w)
        next = Add(m, x)
        row = Add(next, f)
    }>
}"""
WHILE = """(float[2] x) => (float[2] y, float[3, 2] rows) <bool c = {1}, int64 last = {2}> {
    y, rows = Loop ("", c, x) <body = b (int64 i, bool go, float[2] a) => (bool on, float[2] next, float[2] a) {
        on = Less(i, last)
        next = Neg(a)
    }>
}"""
ENDING = """(float[2] x) => (float[2] y) <int64 n = {5}, bool c = {1}, float limit = {4.0}, int64 axis = {0}> {
    y = Loop (n, c, x) <body = b (int64 i, bool go, float[2] a) => (bool on, float[2] next) {
        next = Add(a, a)
        t = Abs(next)
        s = ReduceMax <keepdims = 0> (t)
        on = Less(s, limit)
    }>
}"""
NEVER = """(float[2] x) => (float[2] y) <int64 n = {0}> {
    y = Loop (n, "", x) <body = b (int64 i, bool go, float[2] a) => (bool go, float[2] next) { next = Neg(a) }>
}"""
SCAN = """(float[2] s, float[3, 2] x, float[2, 3] z) => (float[2] y, float[3, 2] rows, float[2, 3] columns) {
    y, rows, columns = Scan <num_scan_inputs = 2, scan_input_axes = [0, -1], scan_input_directions = [0, 1],
        scan_output_axes = [0, 1], scan_output_directions = [1, 0],
        body = b (float[2] a, float[2] p, float[2] q) => (float[2] next, float[2] r, float[2] d) {
            m = Mul(a, p)
            next = Add(m, q)
            r = Neg(next)
            d = Sub(p, q)
        }> (s, x, z)
}"""
NESTED = """(float[2] s, float[3, 2] x) => (float[2] y) <bool c = {1}> {
    y = If (c) <then_branch = t () => (float[2] r) {
        r = Scan <num_scan_inputs = 1, body = b (float[2] a, float[2] p) => (float[2] last) <int64 n = {2}> {
            last = Loop (n, "", a) <body = l (int64 i, bool go, float[2] k) => (bool go, float[2] m) { m = Mul(k, p) }>
        }> (s, x)
    }, else_branch = e () => (float[2] t) { t = Neg(s) }>
}"""
OLD = """(float[2] x) => (float[3, 1] y) <int64 n = {3}, bool c = {1}> {
    last, y = Loop (n, c, x) <body = b (int64 i, bool go, float[2] a) => (bool go, float[2] next, float[1] row) {
        next = Neg(a)
        s = ReduceSum <axes = [0], keepdims = 0> (a)
        row = Unsqueeze <axes = [0]> (s)
    }>
}"""


LARGE_IF = (
    IF.replace("{size}", "")
    .replace(
        "p = Neg(h)", "a = Neg(h)  b = Abs(a)  c2 = Add(b, x)  d = Mul(c2, c2)  e = Sqrt(d)  f = Add(e, w)  p = Neg(f)"
    )
    .replace("bool c)", "bool c, float[3] w)")
)
COUNTED = """(float[2] x) => (float[2] y) <bool c = {1}, int64 first = {0}> {
    a = Abs(x)
    s = Gather(a, first)
    n = Cast <to = 7> (s)
    y = Loop (n, c, x) <body = b (int64 i, bool go, float[2] v) => (bool go, float[2] next) {
        f = Cast <to = 1> (i)
        m = Mul(v, a)
        next = Add(m, f)
    }>
}"""
"""The trip count and a factor are computed in front of the loop."""
QUANTISED = """(float[1, 4] x) => (float[1, 4] y) <bool c = {1}, int64 n = {200}, float s = {0.05}, int8 z = {3},
    float t = {0.01}, int8 o = {0}, int8[4, 4] k = {1, 90, -7, 5, 30, -60, 9, 2, 0, 8, 44, -99, 71, 13, -8, 27}> {
    q = QuantizeLinear(x, s, z)
    d = DequantizeLinear(q, s, z)
    y = Loop (n, c, d) <body = b (int64 i, bool go, float[1, 4] v) => (bool go, float[1, 4] next) {
        p = QuantizeLinear(v, s, z)
        e = DequantizeLinear(p, s, z)
        w = DequantizeLinear(k, t, o)
        m = MatMul(e, w)
        r = QuantizeLinear(m, s, z)
        next = DequantizeLinear(r, s, z)
    }>
}"""
STAY = {
    "large if": (LARGE_IF, "conditional"),
    "computed count": (COUNTED, "while_loop"),
    "long": (LOOP.replace("{4}", "{400}").replace("[4, 2]", "[400, 2]"), "while_loop"),
    "computed end": (ENDING.replace("(n,", '("",'), "while_loop"),
    "inside": (NESTED.replace("{2}", "{50}"), "while_loop"),
    "quantised": (QUANTISED, "while_loop"),
}


@pytest.mark.parametrize("name", STAY)
def test_what_stays_a_loop_or_a_branch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, kind = STAY[name]
    if name == "inside":
        monkeypatch.setattr(onnx_control, "MOST_NODES", 40)
    graph = agrees(text, tmp_path)
    assert kind in {node.op.kind for node in graph.nodes}


def test_as_firmware(tmp_path: Path) -> None:
    """The C of a branch and of a loop in int8, against onnxruntime."""
    for name in ("large if", "quantised"):
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        quantised = name == "quantised"
        build = tinycompile.compile(saved(STAY[name][0], folder), "host", dtype="int8" if quantised else "float32")
        samples = [
            np.array([True, False]) if t.dtype.name == "bool" else np.linspace(-2, 3, 2 * t.elements, dtype=np.float32)
            for t in build.inputs
        ]
        samples = [array.reshape(2, *t.shape) for array, t in zip(samples, build.inputs, strict=True)]
        assert verify_build(build, samples).difference is None


def test_what_stays_is_not_quantised(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=np.ones((4, 2), np.float32))
    with pytest.raises(UnsupportedError, match="a loop or a branch at run time isn't quantised"):
        tinycompile.compile(saved(COUNTED, tmp_path), "host", calib=tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("text", "opset"),
    [
        (KNOWN_IF, 17),
        (IF.replace("{size}", ""), 17),
        (LOOP, 17),
        (WHILE, 17),
        (ENDING, 17),
        (NEVER, 17),
        (SCAN, 17),
        (NESTED, 17),
        (OLD, 11),
    ],
    ids=["known if", "if", "loop", "while", "ending", "never", "scan", "nested", "old"],
)
def test_against_onnx(text: str, opset: int, tmp_path: Path) -> None:
    agrees(text, tmp_path, opset)


def test_a_known_condition_leaves_one_branch(tmp_path: Path) -> None:
    assert [node.op.kind for node in agrees(KNOWN_IF, tmp_path).nodes] == ["abs", "neg"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LOOP.replace("(float[2] x)", "(float[2] x, int64 n)").replace("int64 n = {4}, ", ""), "a result's shape"),
        (LOOP.replace("{4}", "{0}").replace("[4, 2]", "[0, 2]"), "is never executed"),
        (ENDING.replace("c, x)", '"", x)'), "onnxruntime heeds"),
        (
            "(float[3] x, bool c) => (float[N] y) { y = If (c) <then_branch = a () => (float[3] p) { p = Neg(x) }, "
            "else_branch = b () => (float[1] q) { q = ReduceMax (x) }> }",
            r"decides about a result's shape: \[3\] or \[1\]",
        ),
    ],
)
def test_reasons(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        import_onnx(saved(text, tmp_path), "m", floats="all")
    assert re.search(reason, str(caught.value))
