"""Forms of files: weights behind the flatbuffer, dynamic batches, signatures, odd quantisation."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tflite

import tinycompile
from tests.frontend.models import BIAS, W, X, Y, small_model
from tests.ops.oracle import check_model
from tests.support.litert import Oracle
from tests.support.random_model import RandomModel
from tests.support.tflite_builder import SAME, SignatureSpec, SubgraphSpec, TfliteBuilder
from tinycompile import interpreter
from tinycompile.errors import ModelFileError, TinycompileError, UnsupportedError, UsageError
from tinycompile.frontend import load
from tinycompile.frontend.survey import survey
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_file import read_model
from tinycompile.ir import Graph
from tinycompile.report.inspection import inspect_model
from tinycompile.targets import load_board
from tinycompile.verify.compare import verify_build

# Weights behind the flatbuffer


def outside(least: int = 1) -> bytes:
    b = small_model()
    b.outside = least
    return b.build([X], [Y])


def buffer_table(content: bytes, index: int) -> tuple[int, int]:
    """Positions of a buffer's offset and size."""
    table = tflite.Model.GetRootAsModel(content, 0).Buffers(index)._tab
    return table.Pos + table.Offset(6), table.Pos + table.Offset(8)


def moved(content: bytes, offset: int | None = None, size: int | None = None, index: int = W + 1) -> bytes:
    """The same file with another place for a buffer's data."""
    places, changed = buffer_table(content, index), bytearray(content)
    for place, value in zip(places, (offset, size), strict=True):
        if value is not None:
            changed[place : place + 8] = struct.pack("<Q", value)
    return bytes(changed)


def test_weights_behind_the_flatbuffer_are_exact() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)
    for least in (1, 16, 100):
        check_model(outside(least), [x])
    inside, apart = import_tflite(small_model().build([X], [Y]), "m", "m"), import_tflite(outside(), "m", "m")
    for name, value in inside.constants.items():
        np.testing.assert_array_equal(apart.constants[name], value)


@pytest.mark.parametrize("seed", range(3))
def test_random_networks_with_their_weights_behind_the_flatbuffer(seed: int) -> None:
    model = RandomModel(seed)
    inside, shape = model.build(layers=4)
    model.builder.outside = 8
    graph = tflite.Model.GetRootAsModel(inside, 0).Subgraphs(0)
    apart = model.builder.build(graph.InputsAsNumpy().tolist(), graph.OutputsAsNumpy().tolist())
    assert apart != inside
    check_model(apart, [np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)])


def test_survey_inspection_and_build_count_them(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(outside())
    assert sum(t.bytes for t in survey(path).weights) == 36 + 8
    found = inspect_model(path, load_board("stm32f746", None)).as_dict()
    assert found["supported"] and found["weights"]["bytes"] == 36 + 8
    build = tinycompile.compile(path, target="mps2-an386")
    assert build.source.read_bytes() == path.read_bytes()
    samples = [np.random.default_rng(0).integers(-128, 128, (2, 1, 4, 4, 2)).astype(np.int8)]
    assert verify_build(build, samples).difference is None


FILE = len(outside())


@pytest.mark.parametrize(
    ("offset", "size", "reason"),
    [
        (FILE - 35, None, f"data at the bytes {FILE - 35} to {FILE + 1}(.|\n)*the file has {FILE}"),
        (2**64 - 8, None, "the file has"),
        (2**63, 2**63, "the file has"),
        (None, 2**64 - 1, "the file has"),
        (None, 35, "35 bytes of data"),
        (None, 0, "0 bytes of data"),
        (None, 37, "37 bytes of data"),
        (0, None, "computed at run time|nothing computes"),
        (1, 1, "computed at run time|nothing computes"),
    ],
)
def test_places_that_are_none(offset: int | None, size: int | None, reason: str) -> None:
    with pytest.raises(TinycompileError, match=reason):
        import_tflite(moved(outside(), offset, size), "m", "m.tflite")


@pytest.mark.parametrize("offset", [4, 100, 2])
def test_places_in_the_flatbuffer_or_on_each_other_are_just_bytes(offset: int) -> None:
    """As LiteRT reads them."""
    content = moved(outside(), offset)
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)
    assert read_model(content, "m").tensors[W].data.tobytes() == content[offset : offset + 36]  # type: ignore[union-attr]
    check_model(content, [x])


def test_data_inside_counts_where_there_are_both() -> None:
    """As in LiteRT."""
    b = small_model()
    b.tensors[W].place = (4, 36)
    content = b.build([X], [Y])
    assert read_model(content, "m").tensors[W].data.tobytes() == b.tensors[W].data  # type: ignore[union-attr]
    check_model(content, [np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 2)).astype(np.int8)])


def test_many_tensors_on_the_same_bytes_are_bounded() -> None:
    """A megabyte that a thousand tensors claim to be theirs."""
    b = small_model()
    for _ in range(1000):
        tensor = b.tensor((1 << 20,), 0.1, data=bytes(1))
        b.tensors[tensor].place = (8, 1 << 20)
        b.tensors[tensor].data = b""
    content = b.build([X], [Y]) + bytes(1 << 20)
    with pytest.raises(ModelFileError, match="its parts overlap"):
        import_tflite(content, "m", "m.tflite")


TORCH = "cases/litert_torch"


@pytest.mark.parametrize(
    "name",
    ["kws.static_wi8_ai8", "hard.static_wi8_ai8", "kws.weights_outside", "gru.static_wi8_ai8"]
    + ["leaky.static_wi8_ai8", "unet.static_wi8_ai8", "conv1.static_wi8_ai16", "mb.static_wi8_ai16"],
)
def test_models_of_litert_torch_are_exact(name: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    path, arrays = shared(f"{TORCH}/{name}.tflite"), np.load(shared(f"{TORCH}/{name}.npz"))
    samples = [arrays["input_0"]]
    graph = load(path)
    expected = arrays["output_0"]
    for sample, wanted in zip(samples[0][:4], expected[:4], strict=True):
        values = interpreter.run(graph, [sample.reshape(graph.types[graph.inputs[0]].shape)])
        np.testing.assert_array_equal(values[graph.outputs[0]].ravel(), wanted.ravel())
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    got = build.run(samples[0].reshape(-1, *build.inputs[0].shape))
    np.testing.assert_array_equal(np.asarray(got).reshape(expected.shape), expected)


@pytest.mark.parametrize("name", ["leaky", "unet"])
def test_inserted_operators_of_litert_torch_have_their_names(name: str, shared: Callable[[str], Path]) -> None:
    """QUANTIZE and DEQUANTIZE, whose number is in the newer field only; the older one says ADD."""
    found = inspect_model(shared(f"{TORCH}/{name}.static_wi8_ai8.tflite"), load_board("stm32f746", None))
    assert not found.problems
    assert {op.kind for op in found.survey.operators} & {"QUANTIZE", "DEQUANTIZE"}


# Shape arithmetic and dynamic batches


def keras_flatten(rows: int = 3, batch: int = -1) -> tuple[TfliteBuilder, int, int]:
    """What Keras writes for a Flatten between two layers of a model whose batch it doesn't know."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    x, r = b.tensor((1, rows, 4, 2), 0.5, 3, name="x"), b.tensor((1, rows, 4, 2), 0.5, 3)
    shape, first = b.tensor((4,), dtype="int32"), b.tensor((), dtype="int32")
    pair, flat = b.tensor((2,), dtype="int32"), b.tensor((1, rows * 8), 0.5, 3)
    y = b.tensor((1, 5), 2.0, -3, name="y")
    zero, one = b.constant(np.array([0], np.int32)), b.constant(np.array([1], np.int32))
    b.op("RELU", [x], [r])
    b.op("SHAPE", [r], [shape], OutType=tflite.TensorType.INT32)
    b.op("STRIDED_SLICE", [shape, zero, one, b.constant(np.array([1], np.int32))], [first], ShrinkAxisMask=1)
    b.op("PACK", [first, b.constant(np.array(rows * 8, np.int32))], [pair], ValuesCount=2)
    b.op("RESHAPE", [r, pair], [flat])
    weights = b.constant(rng.integers(-127, 128, (5, rows * 8)).astype(np.int8), 0.01)
    b.op("FULLY_CONNECTED", [flat, weights], [y])
    for tensor in (x, r, flat, y):
        b.tensors[tensor].signature = [batch, *b.tensors[tensor].shape[1:]]
    return b, x, y


def test_the_shape_arithmetic_of_keras_is_folded(tmp_path: Path) -> None:
    b, x, y = keras_flatten()
    content = b.build([x], [y])
    samples = [np.random.default_rng(0).integers(-128, 128, (2, 1, 3, 4, 2)).astype(np.int8)]
    graph = check_model(content, [samples[0][0]])
    assert [node.op.kind for node in graph.nodes] == ["relu", "reshape", "fully_connected"]
    assert graph.notes == ("input 'x' has the dynamic shape [-1, 3, 4, 2], taken as [1, 3, 4, 2]",)
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    assert graph.notes[0] in inspect_model(path, load_board("stm32f746", None)).remarks
    build = tinycompile.compile(path, target="mps2-an386")
    assert build.report["notes"] == list(graph.notes)
    assert verify_build(build, samples).difference is None


def test_sizes_that_the_converter_did_not_know() -> None:
    """A Reshape((-1, 8)) of Keras: the file has 1 for what follows from the batch."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    x, r = b.tensor((1, 3, 4, 2), 0.5, 3, name="x"), b.tensor((1, 1, 8), 0.5, 3)
    shape, first, wanted = b.tensor((4,), dtype="int32"), b.tensor((), dtype="int32"), b.tensor((3,), dtype="int32")
    y, z, again = b.tensor((1, 1, 5), 2.0, -3), b.tensor((1, 1, 5), 1.0, -3), b.tensor((3,), dtype="int32")
    zero, one = b.constant(np.array([0], np.int32)), b.constant(np.array([1], np.int32))
    b.op("SHAPE", [x], [shape], OutType=tflite.TensorType.INT32)
    b.op("STRIDED_SLICE", [shape, zero, one, one], [first], ShrinkAxisMask=1)
    rest = [b.constant(np.array(n, np.int32)) for n in (-1, 8)]
    b.op("PACK", [first, *rest], [wanted], ValuesCount=3)
    b.op("RESHAPE", [x, wanted], [r])
    weights = b.constant(rng.integers(-127, 128, (5, 8)).astype(np.int8), 0.01)
    b.op("FULLY_CONNECTED", [r, weights], [y], KeepNumDims=True)
    b.op("RELU", [y], [z])
    b.op("SHAPE", [z], [again], OutType=tflite.TensorType.INT32)
    for tensor, signature in ((x, [-1, 3, 4, 2]), (r, [-1, -1, 8]), (y, [-1, -1, 5]), (z, [-1, -1, 5])):
        b.tensors[tensor].signature = signature
    sample = rng.integers(-128, 128, (1, 3, 4, 2)).astype(np.int8)
    graph = check_model(b.build([x], [z, again]), [sample])
    assert graph.types[graph.outputs[0]].shape == (1, 3, 5)
    assert graph.constants[graph.outputs[1]].tolist() == [1, 3, 5]
    b.tensors[r].signature = [-1, 1, 8]
    with pytest.raises(ModelFileError, match=r"the result is int8\[1x3x8\], the file says int8\[1x1x8\]"):
        import_tflite(b.build([x], [z, again]), "m", "m.tflite")


def test_other_dynamic_dimensions_are_refused_by_name(tmp_path: Path) -> None:
    b, x, y = keras_flatten()
    b.tensors[x].signature = [-1, -1, 4, 2]
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y]))
    with pytest.raises(UnsupportedError, match=r"input 'x': it has the dynamic shape \[-1, -1, 4, 2\]"):
        load(path)
    assert load(path, {"x": (1, 3, 4, 2)}).types["x"].shape == (1, 3, 4, 2)
    with pytest.raises(UnsupportedError, match=r"input 'x': the file holds for the shape \[1, 3, 4, 2\]"):
        load(path, {"x": (1, 9, 4, 2)})
    with pytest.raises(UsageError, match="no input 'z'"):
        load(path, {"z": (1, 9, 4, 2)})


def test_shapes_that_nobody_can_know() -> None:
    b, x, y = keras_flatten()
    b.ops[1].inputs = [x]
    b.ops[2].inputs = [b.tensor((4,), dtype="int32", name="given"), *b.ops[2].inputs[1:]]
    with pytest.raises(UnsupportedError, match="the shape is computed at run time"):
        import_tflite(b.build([x, b.ops[2].inputs[0]], [y]), "m", "m.tflite")


# Signatures and subgraphs


def two_subgraphs() -> tuple[TfliteBuilder, int, int]:
    main, other = small_model(), TfliteBuilder()
    a, b = other.tensor((1, 6), 0.5, 3, name="a"), other.tensor((1, 6), 0.5, 3, name="b")
    total, c = other.tensor((1, 6), 1.0, -1, name="total"), other.constant(np.arange(6, dtype=np.int8), 0.5, 3)
    other.op("SUB", [a, b], [total])
    other.op("ADD", [total, c], [d := other.tensor((1, 6), 0.75, 2, name="d")])
    main.others = [SubgraphSpec(other, [b, a], [d, total])]
    return main, X, Y


SIGNED = [SignatureSpec("serve", {"image": X}, {"scores": Y}), SignatureSpec("mix", {"p": 0, "q": 1}, {"r": 4}, 1)]


@pytest.mark.parametrize("signed", [False, True])
def test_the_main_subgraph_is_compiled(signed: bool) -> None:
    b, x, y = two_subgraphs()
    b.signatures = SIGNED if signed else []
    graph = check_model(b.build([x], [y]), [np.full((1, 4, 4, 2), 7, np.int8)])
    assert graph.inputs == ("x",)
    assert any("--signature chooses another one: mix" in note for note in graph.notes) is signed


def test_a_signature_chooses_its_subgraph(tmp_path: Path) -> None:
    b, x, y = two_subgraphs()
    b.signatures = SIGNED
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y]))
    build = tinycompile.compile(path, target="mps2-an386", signature="mix", output=tmp_path / "out")
    assert [entry["name"] for entry in build.report["inputs"]] == ["b", "a"], "the subgraph's order"
    assert build.report["options"]["signature"] == "mix"
    samples = [np.random.default_rng(i).integers(-128, 128, (2, 1, 6)).astype(np.int8) for i in range(2)]
    outcome = verify_build(build, samples)
    assert outcome.difference is None and outcome.values > 0
    runner = Oracle(path.read_bytes()).interpreter.get_signature_runner("mix")
    first = build.run(*[array[:1] for array in samples])[0]
    np.testing.assert_array_equal(np.asarray(first).reshape(1, 6), runner(p=samples[1][0], q=samples[0][0])["r"])


def test_unknown_signatures(tmp_path: Path) -> None:
    b, x, y = two_subgraphs()
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y]))
    with pytest.raises(UsageError, match=r"no signature 'mix'(.|\n)*the file has none"):
        load(path, signature="mix")
    b.signatures = SIGNED
    path.write_bytes(b.build([x], [y]))
    with pytest.raises(UsageError, match=r"no signature 'mux'(.|\n)*one of: serve, mix"):
        load(path, signature="mux")
    SIGNED[1].subgraph = 7
    path.write_bytes(b.build([x], [y]))
    SIGNED[1].subgraph = 1
    with pytest.raises(ModelFileError, match="'mix' is of subgraph 7 of 2"):
        load(path, signature="mix")


# Odd quantisation

OK_ODD: dict[str, tuple[int, dict[str, object], str]] = {
    "axis beyond the shape": (BIAS, {"axis": 3}, "2 scales for axis 3.*only axis 0"),
    "the only axis of that length": (W, {"axis": 1, "shape": [2, 3, 3, 1]}, "only axis 0"),
    "no zero points": (W, {"zero_point": None}, "2 scales and 0 zero points; they are 0"),
    "one zero point": (W, {"zero_point": [0]}, "2 scales and 1 zero points; all are 0"),
    "zero points of one scale": (X, {"zero_point": [3, 3, 3]}, "1 scales and 3 zero points; all are 3"),
    "equal scales": (X, {"scale": [0.5] * 3, "zero_point": [3] * 3, "axis": 9}, "3 scales for axis 9.*all are equal"),
    "a bias with zero points": (BIAS, {"zero_point": [4, 5]}, "the zero point.*ignored"),
    "a bias with scales of nothing": (BIAS, {"scale": [0.1] * 3, "zero_point": [0] * 3}, "3 scales.*"),
    "a bias with a scale that is no number": (
        BIAS,
        {"scale": [float("nan")], "zero_point": [0]},
        "the scale nan.*ignored",
    ),
}


def odd_model(channels: int) -> TfliteBuilder:
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    b.tensor((1, 4, 4, channels), 0.5, 3, name="x")
    b.constant(rng.integers(-127, 128, (2, 3, 3, channels)).astype(np.int8), [0.1, 0.2], name="w")
    b.constant(np.array([50, -500], np.int32), [0.05, 0.1], name="bias")
    b.tensor((1, 4, 4, 2), 2.0, -1, name="y")
    b.op("CONV_2D", [0, 1, 2], [3], StrideH=1, StrideW=1, Padding=SAME)
    return b


@pytest.mark.parametrize("kind", OK_ODD)
def test_odd_quantisation_with_one_meaning(kind: str) -> None:
    """The result is LiteRT's for the same file without what is odd."""
    index, changes, note = OK_ODD[kind]
    channels = 1 if "shape" in changes else 2
    regular, odd = odd_model(channels), odd_model(channels)
    vars(odd.tensors[index]).update(changes)
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 4, channels)).astype(np.int8)
    expected = Oracle(regular.build([0], [3])).run([x])[3]
    graph = import_tflite(odd.build([0], [3]), "m", "m.tflite")
    np.testing.assert_array_equal(interpreter.run(graph, [x])[graph.outputs[0]], expected)
    (said,) = graph.notes
    assert re.search(note, said), said


AMBIGUOUS: dict[str, tuple[int, dict[str, object], str]] = {
    "two axes of that length": (W, {"axis": 7}, "axis 7.*\n.*2 axes have that length"),
    "no axis of that length": (W, {"scale": [0.1, 0.2, 0.3, 0.4], "zero_point": [0] * 4}, "no axis has that length"),
    "different zero points of one scale": (X, {"zero_point": [3, 4]}, "1 scales and 2 zero points"),
    "too few zero points": (W, {"scale": [0.1] * 3, "zero_point": [0, 0]}, "3 scales and 2 zero points"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_quantisation_with_several_meanings_or_none(kind: str) -> None:
    index, changes, reason = AMBIGUOUS[kind]
    b = odd_model(2)
    vars(b.tensors[index]).update(changes)
    with pytest.raises(ModelFileError, match=reason):
        import_tflite(b.build([0], [3]), "m", "m.tflite")


def test_what_litert_ignores_is_ignored() -> None:
    """Scales of floats and of indices."""
    b = TfliteBuilder()
    x, q = b.tensor((1, 4), dtype="float32", name="x"), b.tensor((1, 4), 0.5, 3)
    b.op("QUANTIZE", [x], [q])
    b.tensors[x].scale, b.tensors[x].zero_point = [0.5], [0]
    graph: Graph = check_model(b.build([x], [q]), [np.array([[1.0, 2.0, -3.0, 1e9]], np.float32)])
    assert graph.types["x"].quant is None
