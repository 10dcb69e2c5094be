"""`--compatible-with`: new weights for the code of an older build, or an error that names what differs."""

from __future__ import annotations

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import tinycompile
from tests.reliability.test_weights import network, some_weights
from tests.reliability.updates import digits, features, noisy, samples
from tests.support.tflite_builder import NONE, SAME, TfliteBuilder
from tinycompile import interpreter, lowering
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import IncompatibleError, QuantizationWarning, UsageError
from tinycompile.frontend import load
from tinycompile.options import Options
from tinycompile.quantize import quantize
from tinycompile.quantize.headroom import BUDGET
from tinycompile.quantize.pinned import pinned_parameters
from tinycompile.verify.compare import verify_build

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore::tinycompile.errors.QuantizationWarning")

NETWORKS = {"digits": digits, "features": features}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(calibration, evaluation)."""
    return samples(tmp_path_factory.mktemp("data"))


def c_of(build: Build) -> dict[str, str]:
    """The generated C without what names the model's file: comments, and its hash in the header."""
    texts = {p.name: p.read_text() for p in build.folder.glob(f"{build.model}*.[ch]")}
    ours = re.compile(r'/\*.*?\*/|_SOURCE_SHA256 "[0-9a-f]{64}"', re.DOTALL)
    return {name: ours.sub("", text) for name, text in texts.items()}


def compiled(model: onnx.ModelProto | bytes, folder: Path, name: str, **options: object) -> Build:
    (folder / name).mkdir()
    path = folder / name / ("net.tflite" if isinstance(model, bytes) else "net.onnx")
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    chosen: dict[str, object] = {"weights": "separate", "output": folder / name / "out"} | options
    return tinycompile.compile(path, **chosen)  # pyright: ignore[reportArgumentType] - a mix of options


def updated(old: Build, new: Build, folder: Path) -> Build:
    """The old code beside the new file of weights."""
    assert new.weights is not None and old.weights is not None
    shutil.copytree(old.folder, folder)
    shutil.copy(new.weights, folder / old.weights.name)
    return Build(folder)


@pytest.mark.parametrize(("kind", "target"), [("digits", "mps2-an500"), ("features", "mps2-an385")])
def test_retrained_weights_fit_the_old_firmware(
    kind: str, target: str, data: tuple[Path, Path], tmp_path: Path
) -> None:
    model, (calib, judged) = NETWORKS[kind](), data
    old = compiled(model, tmp_path, "old", target=target, calib=calib, calib_method="mse")
    new = compiled(
        noisy(model, 0.1, np.random.default_rng(3)), tmp_path, "new", calib=calib, compatible_with=old.folder
    )
    assert "with room in the ranges" in old.report["quantization"]["trials"][0]["how"]
    assert new.report["target"] == target
    assert new.report["weights_file"]["graph"] == old.report["weights_file"]["graph"]
    assert new.report["compatible_with"]["graph"] == old.report["weights_file"]["graph"]
    assert c_of(new) == c_of(old)
    with np.load(judged) as arrays:
        x = arrays["x"][:4]
    graph = load(new.source)
    expected = np.stack([interpreter.run(graph, [image[None]])[graph.outputs[0]] for image in x])
    field = updated(old, new, tmp_path / "field")
    np.testing.assert_array_equal(np.asarray(field.run(x, on="qemu")).reshape(expected.shape), expected)
    assert np.any(np.asarray(old.run(x)).reshape(expected.shape) != expected)
    outcome = verify_build(new, [x[:2].reshape(2, *new.inputs[0].shape)])
    assert outcome.difference is None and outcome.tensors > 8


def test_the_next_update_is_for_the_first_code(tmp_path: Path) -> None:
    """An update's own plan might be another one: the model behind the code is kept."""
    build = compiled(network(some_weights(0)), tmp_path, "0", target="mps2-an386")
    first = (build.folder / "source/net.tflite").read_bytes()
    graph = build.report["weights_file"]["graph"]
    for number in (1, 2):
        build = compiled(network(some_weights(number)), tmp_path, str(number), compatible_with=build.folder)
        assert build.report["weights_file"]["graph"] == graph
        assert (build.folder / "predecessor/net.tflite").read_bytes() == first


def test_a_retrained_int8_file_fits_if_its_scales_do(tmp_path: Path) -> None:
    old = compiled(network(some_weights(0)), tmp_path, "old", target="mps2-an386")
    new = compiled(network(some_weights(1)), tmp_path, "new", compatible_with=old.folder)
    x = np.random.default_rng(9).integers(-128, 128, (2, 6, 6, 2)).astype(np.int8)
    np.testing.assert_array_equal(updated(old, new, tmp_path / "field").run(x, on="qemu"), new.run(x))
    assert c_of(new) == c_of(old)


def scaled(
    first: float,
    second: float,
    *,
    zero_point: int = 3,
    channels: int = 4,
    factor: float = 0.0103,
    names: tuple[str, str] = ("image", "scores"),
) -> bytes:
    """A convolution; the scales of its input and output, and what is multiplied with its weights' scales."""
    b = TfliteBuilder()
    x = b.tensor((1, 6, 6, 2), first, zero_point, name=names[0])
    y = b.tensor((1, 6, 6, channels), second, -5, name=names[1])
    weights = np.random.default_rng(0).integers(-127, 128, (channels, 3, 3, 2)).astype(np.int8)
    bias = b.constant(np.arange(channels, dtype=np.int32), [first * factor] * channels)
    fields = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "FusedActivationFunction": NONE}
    b.op("CONV_2D", [x, b.constant(weights, [factor] * channels), bias], [y], **fields)
    return b.build([x], [y])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return compiled(scaled(0.05, 0.2), tmp_path_factory.mktemp("plain"), "old", target="mps2-an386", optimize="speed")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (scaled(0.06, 0.2), r"tensor '.*': scale 0\.05 became 0\.06"),
        (scaled(0.05, 0.21), r"tensor '.*': scale 0\.2 became 0\.21"),
        (scaled(0.05, 0.2, zero_point=4), "zero point 3 became 4"),
        (scaled(0.05, 0.2, channels=5), r"1x6x6x4.* became .*1x6x6x5"),
        (network(some_weights(0)), "1 inputs, 1 outputs and 1 operators became 1 inputs, 1 outputs and 3 operators"),
        (
            scaled(0.05, 0.2, factor=0.3001),
            r"conv2d '.*': channel \d's scale leaves room for a shift of \d+ bits, the old",
        ),
        (scaled(0.05, 0.2, names=("picture", "scores")), "name of input 0: 'image' became 'picture'"),
        (scaled(0.05, 0.2, names=("image", "logits")), "name of output 0: 'scores' became 'logits'"),
    ],
)
def test_what_differs_is_named(model: bytes, message: str, plain: Build, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=message):
        compiled(model, tmp_path, "new", compatible_with=plain.folder)
    assert not (tmp_path / "new" / "out").exists()


def test_labels_are_taken_over_and_others_are_named(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.txt" for name in ("animals", "birds")}
    files["animals"].write_text("cat\ndog\ncow\nhen\n")
    files["birds"].write_text("cat\ndog\nowl\nhen\n")
    model = scaled(0.05, 0.2, factor=0.0091)
    old = compiled(scaled(0.05, 0.2), tmp_path, "old", target="host", labels=files["animals"])
    newest = old
    for number, labels in enumerate((files["animals"], None)):
        newest = compiled(model, tmp_path, f"new{number}", compatible_with=newest.folder, labels=labels)
        assert newest.report["labels"] == ["cat", "dog", "cow", "hen"]
        assert c_of(newest) == c_of(old)
    with pytest.raises(IncompatibleError, match="label 2: 'cow' became 'owl'"):
        compiled(model, tmp_path, "other", compatible_with=old.folder, labels=files["birds"])
    bare = compiled(scaled(0.05, 0.2), tmp_path, "bare", target="host")
    with pytest.raises(IncompatibleError, match="labels: 0 became 4"):
        compiled(model, tmp_path, "labelled", compatible_with=bare.folder, labels=files["animals"])


def test_a_scale_up_to_three_times_as_large_fits(plain: Build, tmp_path: Path) -> None:
    for number, factor in enumerate((0.0001, 0.0091, 0.0113, 0.0301)):
        new = compiled(scaled(0.05, 0.2, factor=factor), tmp_path, str(number), compatible_with=plain.folder)
        assert new.report["weights_file"]["graph"] == plain.report["weights_file"]["graph"]


@pytest.mark.parametrize("schedule", ["auto", "stream"])
def test_a_bias_may_come_and_go(schedule: str, tmp_path: Path) -> None:
    """A file needn't have one that is zero; and stages have the code of parts of layers."""
    weights = (some_weights(0), some_weights(1))
    for number, (first, second) in enumerate(((True, False), (False, True))):
        old = compiled(network(weights[0], bias=first), tmp_path, f"a{number}", target="mps2-an386", schedule=schedule)
        new = compiled(network(weights[1], bias=second), tmp_path, f"b{number}", compatible_with=old.folder)
        assert c_of(new) == c_of(old) and (schedule == "auto" or old.report["stages"])
        x = np.random.default_rng(9).integers(-128, 128, (2, 6, 6, 2)).astype(np.int8)
        graph = load(new.source)
        expected = np.stack([interpreter.run(graph, [image[None]])[graph.outputs[0]] for image in x])
        field = updated(old, new, tmp_path / f"field{number}")
        np.testing.assert_array_equal(np.asarray(field.run(x)).reshape(expected.shape), expected)


def test_the_bias_is_no_reason_for_less_room(tmp_path: Path) -> None:
    """Ranges of sums that are on one side of zero: with room they must still contain what occurs."""
    weights = some_weights(0)
    b = TfliteBuilder()
    x, y = b.tensor((1, 6, 6, 2), 0.05, 3), b.tensor((1, 6, 6, 4), 35.7, -5)
    bias = b.constant(np.array([8_900_000, -8_900_000, 6_500_000, 0], np.int32), [0.0005] * 4)
    fields = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "FusedActivationFunction": NONE}
    b.op("CONV_2D", [x, b.constant(weights[:72].reshape(4, 3, 3, 2), [0.01] * 4), bias], [y], **fields)
    build = compiled(b.build([x], [y]), tmp_path, "old", target="mps2-an386", optimize="speed")
    graph, image = load(build.source), np.random.default_rng(1).integers(-128, 128, (1, 6, 6, 2)).astype(np.int8)
    np.testing.assert_array_equal(build.run(image)[0], interpreter.run(graph, [image])[graph.outputs[0]][0])


def dead(channel: int | None) -> bytes:
    weights = some_weights(0)
    if channel is not None:
        weights[18 * channel : 18 * (channel + 1)] = 0
    return network(weights)


def test_channels_that_were_constant(tmp_path: Path) -> None:
    """Eliminated ones stay so; where another one is, or none, that is an error unless --updatable keeps all."""
    old = compiled(dead(0), tmp_path, "old", target="mps2-an386")
    same = compiled(dead(0), tmp_path, "same", compatible_with=old.folder)
    assert c_of(same) == c_of(old)
    for number, model in enumerate((dead(None), dead(2))):
        with pytest.raises(IncompatibleError, match=r"channel 0 of '.*' was constant or unread in the old model"):
            compiled(model, tmp_path, f"new{number}", compatible_with=old.folder)
    whole = compiled(dead(0), tmp_path, "whole", target="mps2-an386", updatable=True)
    x = np.random.default_rng(9).integers(-128, 128, (2, 6, 6, 2)).astype(np.int8)
    for number, model in enumerate((dead(None), dead(2))):
        new = compiled(model, tmp_path, f"fits{number}", compatible_with=whole.folder)
        assert c_of(new) == c_of(whole)
        np.testing.assert_array_equal(updated(whole, new, tmp_path / f"field{number}").run(x), new.run(x))


def test_mistakes_are_explained(plain: Build, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--compatible-with is for weights in a file of their own"):
        compiled(scaled(0.05, 0.2), tmp_path, "a", compatible_with=plain.folder, weights="embedded")
    with pytest.raises(UsageError, match="--target mps2-an385 goes against the older build, which has mps2-an386"):
        compiled(scaled(0.05, 0.2), tmp_path, "b", compatible_with=plain.folder, target="mps2-an385")
    embedded = compiled(scaled(0.05, 0.2), tmp_path, "c", weights="embedded", target="host")
    with pytest.raises(UsageError, match="the older build has no separate weights"):
        compiled(scaled(0.05, 0.2), tmp_path, "d", compatible_with=embedded.folder)
    with pytest.raises(UsageError, match="--updatable is for weights in a file of their own"):
        compiled(scaled(0.05, 0.2), tmp_path, "e", weights="embedded", updatable=True)


def test_the_code_of_another_version_is_named(plain: Build, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(plain.folder, folder)
    report = (folder / "report.json").read_text()
    graph = plain.report["weights_file"]["graph"]
    (folder / "report.json").write_text(report.replace(graph, "0" * 32))
    with pytest.raises(IncompatibleError, match="this version of tinycompile makes other code"):
        compiled(scaled(0.05, 0.2), tmp_path, "new", compatible_with=folder)


def test_values_beyond_the_old_ranges_are_warned_of(data: tuple[Path, Path], tmp_path: Path) -> None:
    model, (calib, _) = features(), data
    old = compiled(model, tmp_path, "old", target="host", calib=calib, calib_method="minmax")
    larger = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in larger.graph.initializer:
        if tensor.name == model.graph.node[-1].input[1]:
            values = 3 * onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    with pytest.warns(
        QuantizationWarning, match=r"% of the values of tensor '.*' are beyond the range of the old build"
    ):
        compiled(larger, tmp_path, "new", calib=calib, compatible_with=old.folder)


def test_values_that_grew_cost_little_accuracy(data: tuple[Path, Path], tmp_path: Path) -> None:
    """Retrainings whose logits leave the first build's own range, and which lost ten decibels and more by it."""
    calib, _ = data
    onnx.save(features(), str(tmp_path / "old.onnx"))
    first = quantize(tmp_path / "old.onnx", calib, method="mse", room=True)
    assert first.trials[0].room and first.trials[0].sqnr > first.trials[1].sqnr - BUDGET
    onnx.save(first.proto, str(tmp_path / "qdq.onnx"))
    pinned = pinned_parameters(tmp_path / "qdq.onnx")
    for seed in (0, 1, 5):
        onnx.save(noisy(features(), 0.1, np.random.default_rng(seed)), str(tmp_path / "new.onnx"))
        assert quantize(tmp_path / "new.onnx", calib, pinned=pinned).trials[0].sqnr > 33


def test_only_weights_apart_from_the_code_have_room(tmp_path: Path) -> None:
    """Ranges of a build whose weights stay are those of least error."""
    wanted = list[bool]()
    for weights in ("embedded", "separate"):
        options = Options(weights=weights)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lowering, "compiled_source", lambda _, calib, *__: nullcontext(wanted.append(calib.room)))
            with lowering.quantized_sources([tmp_path / "net.onnx"], options):
                pass
    assert wanted == [False, True]


def test_the_command_line(plain: Build, tmp_path: Path) -> None:
    (tmp_path / "v2.tflite").write_bytes(scaled(0.05, 0.2, factor=0.0091))
    (tmp_path / "v3.tflite").write_bytes(scaled(0.06, 0.2))
    arguments = ["build", "--weights", "separate", "--compatible-with", str(plain.folder), "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(main, [*arguments, str(tmp_path / "v2.tflite")]).exit_code == 0
    result = CliRunner().invoke(main, [*arguments, str(tmp_path / "v3.tflite")])
    assert result.exit_code == 1 and "scale 0.05" in result.stderr


def with_constants(bias: int, other: int, scale: float = 0.5, *, shared: bool = True, name: str = "y") -> bytes:
    """Its outputs are, beside a convolution's, its bias and a constant that nothing reads."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 6, 6, 2), 0.05, 3), b.tensor((1, 6, 6, 4), 0.2, -5, name=name)
    weights = b.constant(np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 2)).astype(np.int8), [0.01] * 4)
    first = b.constant(np.arange(4, dtype=np.int32) + bias, [0.0005] * 4, name="b" if shared else "a")
    second = first if shared else b.constant(np.arange(4, dtype=np.int32) + bias + 1, [0.0005] * 4, name="b")
    free = b.constant(np.arange(3, dtype=np.int8) + other, scale, 1, name="free")
    fields = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "FusedActivationFunction": NONE}
    b.op("CONV_2D", [x, weights, first], [y], **fields)
    return b.build([x], [y, second, free])


@pytest.mark.parametrize("shared", [True, False])
def test_outputs_that_are_constants_are_updated(shared: bool, tmp_path: Path) -> None:
    old = compiled(with_constants(1, 2), tmp_path, "old", target="mps2-an386")
    new = compiled(with_constants(40, 3, shared=shared), tmp_path, "new", compatible_with=old.folder)
    assert c_of(new) == c_of(old)
    x = np.random.default_rng(1).integers(-128, 128, (1, 1, 6, 6, 2)).astype(np.int8)
    y, bias, free = updated(old, new, tmp_path / "field").run(x, on="qemu")
    np.testing.assert_array_equal(y, new.run(x)[0])
    np.testing.assert_array_equal(bias.ravel(), np.arange(4) + 40 + (not shared))
    np.testing.assert_array_equal(free.ravel(), np.arange(3) + 3)
    assert verify_build(new, [x[0]]).difference is None


def test_an_output_that_is_constant_keeps_its_meaning(tmp_path: Path) -> None:
    old = compiled(with_constants(1, 2), tmp_path, "old", target="mps2-an386")
    with pytest.raises(IncompatibleError, match=r"'.*': scale 0\.5 became 0\.25"):
        compiled(with_constants(1, 2, scale=0.25), tmp_path, "new", compatible_with=old.folder)


def two_layers(first: int, second: int) -> bytes:
    """Their biases are one tensor where they are equal."""
    b = TfliteBuilder()
    x, y, z = (b.tensor((1, 6, 6, 4), scale, 3) for scale in (0.05, 0.05, 0.05))
    weights = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 4)).astype(np.int8)
    bias = [b.constant(np.arange(4, dtype=np.int32) * first, [0.0005] * 4)]
    bias += bias if first == second else [b.constant(np.arange(4, dtype=np.int32) * second, [0.0005] * 4)]
    fields = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "FusedActivationFunction": NONE}
    b.op("CONV_2D", [x, b.constant(weights, [0.01] * 4), bias[0]], [y], **fields)
    b.op("CONV_2D", [y, b.constant(weights[::-1], [0.01] * 4), bias[1]], [z], **fields)
    return b.build([x], [z])


def test_a_bias_that_two_layers_shared_may_become_two(tmp_path: Path) -> None:
    """It was silently that of the last one for both."""
    old = compiled(two_layers(70, 70), tmp_path, "old", target="mps2-an386")
    new = compiled(two_layers(100, -200), tmp_path, "new", compatible_with=old.folder)
    x = np.random.default_rng(1).integers(-128, 128, (1, 1, 6, 6, 4)).astype(np.int8)
    free = compiled(two_layers(100, -200), tmp_path, "free", target="mps2-an386")
    np.testing.assert_array_equal(updated(old, new, tmp_path / "field").run(x, on="qemu"), free.run(x))


def test_names_and_labels_are_named_where_they_differ(tmp_path: Path) -> None:
    """Labels are taken over; an update without them was told that the version of tinycompile is another one."""
    (tmp_path / "abcd.txt").write_text("a\nb\nc\nd\n")
    (tmp_path / "abce.txt").write_text("a\nb\nc\ne\n")
    old = compiled(with_constants(1, 2), tmp_path, "old", target="mps2-an386", labels=tmp_path / "abcd.txt")
    new = compiled(with_constants(3, 4), tmp_path, "new", compatible_with=old.folder / "report.json")
    assert c_of(new) == c_of(old)
    again = compiled(with_constants(5, 6), tmp_path, "again", compatible_with=new.folder, labels=tmp_path / "abcd.txt")
    assert c_of(again) == c_of(old)
    with pytest.raises(IncompatibleError, match="label 3: 'd' became 'e'"):
        compiled(with_constants(3, 4), tmp_path, "l", compatible_with=old.folder, labels=tmp_path / "abce.txt")
    with pytest.raises(IncompatibleError, match="name of output 0: 'y' became 'z'"):
        compiled(with_constants(3, 4, name="z"), tmp_path, "z", compatible_with=old.folder)
