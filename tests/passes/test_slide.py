"""Sliding windows computed once: every step equals the whole window, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support.random_graph import QUANT, RandomGraph
from tests.support.sliding_models import keyword_graph, steps_of, temporal_network
from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.errors import UsageError
from tinycompile.frontend import load
from tinycompile.ir import Graph, Node, State, TensorType, verify
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.sub import Sub
from tinycompile.passes import optimize
from tinycompile.passes.slide import Window, slide, window_of
from tinycompile.passes.slide_motion import moving


def check(graph: Graph, window: Window, steps: int = 6) -> Graph:
    """The graph of a step, after a comparison of so many steps."""
    found = slide(graph, window)
    verify(found, "slide")
    sequence, wholes = steps_of(graph, window, steps)
    for values, whole in zip(interpreter.steps(found, sequence), wholes, strict=True):
        expected = interpreter.run(graph, whole)
        for ours, theirs in zip(found.outputs, graph.outputs, strict=True):
            np.testing.assert_array_equal(values[ours], expected[theirs])
    return found


def kept(graph: Graph) -> list[int]:
    """Rows along axis 1 of each state, the largest first."""
    return sorted((graph.types[state.name].shape[1] for state in graph.states), reverse=True)


@pytest.mark.parametrize("seed", range(20))
def test_random_networks(seed: int) -> None:
    """Any kernel, stride, dilation, padding; pools, residuals, concatenations, several inputs and outputs."""
    rng = np.random.default_rng(seed)
    graph = optimize(RandomGraph(seed, spatial=bool(seed % 3), fusable=seed % 3 == 0).grow(int(rng.integers(2, 9))))
    name, axis = graph.inputs[0], int(rng.integers(1, 3))
    steps = [n for n in range(1, graph.types[name].shape[axis]) if not moving(graph, name, axis, n).misfits]
    if steps:
        check(graph, Window(name, axis, int(rng.choice(steps[:3]))))


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("end", ["pool", "mean", "softmax", "dense", "last"])
@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
def test_keyword_networks(end: str, padding: str, step: int) -> None:
    """What is behind the last convolution decides what is saved: an average by sums, a layer of all rows nothing."""
    graph = keyword_graph(end, padding)
    found = check(graph, Window("x", 1, step), steps=6)
    assert found.macs() < graph.macs()


def test_an_average_keeps_sums_of_rows() -> None:
    graph = keyword_graph("mean", "valid")
    found = check(graph, Window("x", 1, 1))
    sums = [graph for graph in found.states if graph.initial.dtype == np.int16]
    assert len(sums) == 1 and found.macs() < 0.15 * graph.macs()


def test_a_causal_network_keeps_its_receptive_fields() -> None:
    """A step of one row of a TCN whose last row counts: kernels of 3 with dilations 1, 2, 4, 8."""
    graph = temporal_network(rows=40, dilations=(1, 2, 4, 8))
    found = check(graph, Window("x", 1, 1), steps=12)
    assert kept(found) == [16, 8, 4, 2]
    assert found.macs() * 40 <= graph.macs()


def test_a_receptive_field_beyond_the_window_needs_rows_again() -> None:
    """Padding stays where it is, so that what reads it is another value in each step."""
    graph = temporal_network(rows=20, dilations=(1, 2, 4, 8))
    found = check(graph, Window("x", 1, 1), steps=12)
    assert max(kept(found)) <= 19


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_an_average_of_what_moves_along_any_axis(axis: int) -> None:
    """Sums of rows are for rows and columns; channels have averages of their own."""
    t = TensorType((1, 8, 6, 5), INT8, QUANT)
    mean = Node("mean", Mean((1, 2), keep_dims=True), ("x",), ("mean",))
    centred = Node("centred", Sub(), ("x", "mean"), ("centred",))
    types = {"x": t, "mean": replace(t, shape=(1, 1, 1, 5)), "centred": t}
    check(Graph("g", ("x",), ("centred",), (mean, centred), types, {}), Window("x", axis, 2))


def test_padding_that_an_average_counts_stays_at_the_edge() -> None:
    t = TensorType((1, 12, 4, 2), FLOAT32)
    pool = AveragePool2D((4, 3), (1, 1), (2, 1, 1, 1), counted=(1, 1, 0, 1))
    nodes = (Node("a", pool, ("x",), ("a",)), Node("b", pool, ("a",), ("b",)))
    graph = Graph("g", ("x",), ("b",), nodes, {"x": t, "a": t, "b": t}, {})
    for axis in (1, 2):
        check(graph, Window("x", axis, 1))


def test_names_of_parts_are_free() -> None:
    """A layer's first part has its name, the others the next one with a number, which layers have as well."""
    graph = keyword_graph("dense", "same")
    names = ["n", *(f"n_{number}" for number in range(2, len(graph.nodes) + 1))]
    nodes = tuple(replace(node, name=name) for node, name in zip(graph.nodes, names, strict=True))
    check(replace(graph, nodes=nodes), Window("x", 1, 1))


def test_what_is_kept_begins_like_a_window_of_zero_points() -> None:
    graph = keyword_graph("pool", "same")
    found = slide(graph, Window("x", 1, 1))
    zero = graph.types["x"].zero_point
    states = {state.name: state.initial for state in found.states}
    assert any(np.all(initial == zero) for initial in states.values())
    still = {name: np.full(found.types[name].shape, zero, np.int8) for name in found.inputs}
    values = interpreter.run(found, still)
    for name, initial in interpreter.following(found, values).items():
        np.testing.assert_array_equal(initial, states[name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time", "says no axis and step"),
        ("frames=2", "says no axis and step"),
        ("y:1=2", "no input 'y'"),
        ("7=1", "no axis 7"),
        ("time=0", "can't move by 0"),
        ("time=20", "can't move by 20"),
        ("0=1", "(?s)can't move by 1.*an axis with several rows, of 1, 2, 3"),
    ],
)
def test_windows_that_there_are_not(text: str, message: str) -> None:
    graph = keyword_graph("pool", "same")
    with pytest.raises(UsageError, match=message):
        slide(graph, window_of(graph, text))


def test_a_step_must_be_a_whole_one_of_every_layer() -> None:
    graph = keyword_graph("pool", "same", stride=2)
    with pytest.raises(UsageError, match=r"(?s)moves by 1 rows, its window by 2.*a step of 2, 4, 6"):
        slide(graph, Window("x", 1, 1))
    check(graph, window_of(graph, "x:1=2"))


def test_models_with_memory_have_no_windows() -> None:
    graph = keyword_graph("pool", "same")
    state = State("s", np.zeros(graph.types["x"].shape, np.int8), "x")
    stateful = replace(graph, types={**graph.types, "s": graph.types["x"]}, states=(state,))
    with pytest.raises(UsageError, match="models without memory"):
        slide(stateful, Window("x", 1, 1))


def test_a_temporal_shift_is_a_state() -> None:
    """examples/tsm: a frame a step is the offline model on the window that ends with it; shifts have no arithmetic."""
    path = ROOT / "examples/tsm/tsm.onnx"
    graph = optimize(load(path, floats="all"))
    found = slide(graph, window_of(graph, "2=1"))
    verify(found, "slide")
    readout = 16 * 2
    assert (found.macs() - readout) * 8 == graph.macs() - readout
    assert [found.types[state.name].elements for state in found.states] == [4 * 16] * 3
    frames = np.load(path.parent / "tsm_steps.npz")["input_0"][:20]
    whole = np.zeros(graph.types[graph.inputs[0]].shape, np.float32)
    for frame, values in zip(frames, interpreter.steps(found, ([frame] for frame in frames)), strict=True):
        whole = np.concatenate([whole[:, :, 1:], frame], axis=2)
        ours, expected = values[found.outputs[0]], interpreter.run(graph, [whole])[graph.outputs[0]]
        np.testing.assert_array_equal(ours, expected)


def test_the_reference_keyword_network(shared: object) -> None:
    """49 frames, 2 new: SAME padding makes 6, 8, 10, 12 and 14 of 25 rows new; a tenth more to keep fewer."""
    graph = optimize(load(Path(shared("models/kws_ref_model.tflite"))))  # type: ignore[operator]
    found = check(graph, window_of(graph, "time=2"), steps=3)
    assert found.macs() <= 0.4434 * graph.macs()
    assert sum(found.types[state.name].bytes for state in found.states) <= 12760
