"""`quantize --bits auto` as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from tests.mixed_precision import nets
from tinycompile.cli import main
from tinycompile.errors import DoesNotFitError, UsageError
from tinycompile.frontend import load
from tinycompile.frontend.tflite_schema import root
from tinycompile.mixed_precision.build_within import BuiltWithin, build_within
from tinycompile.options import Options
from tinycompile.passes import optimize
from tinycompile.pipeline import FirmwareTooLargeError


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["quantize", *map(str, arguments)])
    assert result.exit_code in (0, 2), result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 TFLite file, a float ONNX file whose nodes have few names, samples."""
    path, random = tmp_path_factory.mktemp("automatic"), np.random.default_rng(6)
    (path / "small.tflite").write_bytes(nets.content())
    np.savez(path / "calib.npz", x=nets.samples(24), y=np.zeros(24))
    np.savez(path / "eval.npz", x=nets.samples(24, 2), y=random.integers(0, nets.CLASSES, 24))
    shapes = {"first": (16, 3, 3, 3), "second": (16, 16, 1, 1)}
    weights = [
        numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], name="conv1"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (1, 3, 6, 6)), ("y", (1, 16, 4, 4)))
    )
    proto = helper.make_model(
        helper.make_graph(nodes, "float", [x], [y], weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    proto.ir_version = 8
    onnx.save(proto, path / "float.onnx")
    np.savez(path / "floats.npz", x=random.normal(0, 1, (24, 3, 6, 6)).astype(np.float32))
    return path


def test_an_int8_file_gets_few_bits_within_its_budget(folder: Path) -> None:
    samples = ("--calib", folder / "calib.npz", "--eval", folder / "eval.npz")
    text = _run(
        folder / "small.tflite", *samples, "--bits", "auto", "--weight-bytes", "70%", "-o", folder / "out.tflite"
    )
    assert "layers with few bits, and what was measured" in text and "accuracy" in text
    assert "measured on the 24 samples of eval.npz" in text
    tensors = root((folder / "out.tflite").read_bytes()).Subgraphs(0)
    types = {tensors.Tensors(i).Type() for i in range(tensors.TensorsLength())}
    assert 17 in types  # INT4
    before, after = load(folder / "small.tflite"), load(folder / "out.tflite")
    assert [node.op.kind for node in before.nodes] == [node.op.kind for node in after.nodes]
    for name in before.outputs:
        assert before.types[name].quant.same_as(after.types[name].quant)


def test_a_float_model_is_quantised_once_with_the_bits_that_were_chosen(folder: Path) -> None:
    options = ("--bits", "auto", "--weight-bytes", "70%", "--calib-method", "minmax")
    text = _run(folder / "float.onnx", "--calib", folder / "floats.npz", *options, "-o", folder / "few.onnx")
    assert "b_quantized: 4 bits" in text or "y_quantized: 4 bits" in text, text
    stored = [i.data_type for i in onnx.load(folder / "few.onnx").graph.initializer]
    assert TensorProto.INT4 in stored


def _macs(path: Path) -> tuple[int, int]:
    """(in the file, of what a build computes)."""
    graph = load(path)
    return graph.macs(), optimize(graph).macs()


@pytest.mark.parametrize(("model", "calib"), [("small.tflite", "calib.npz"), ("float.onnx", "floats.npz")])
def test_channels_are_removed_and_said(folder: Path, model: str, calib: str, tmp_path: Path) -> None:
    """At least as many as were asked for; from a build, while the file's shapes are what they were."""
    made = tmp_path / f"made{Path(model).suffix}"
    options = ("--calib", folder / calib, "--prune", "channels=25%", "--calib-method", "minmax")
    text = _run(folder / model, *options, "-o", made)
    assert re.search(r"\n\w+: (12|8|4) of 16 channels\n", text), text
    assert "all 8 bits, 4 channels removed" in text
    assert ("there 8 bits and all channels have SQNR" in text) == (model == "float.onnx")
    assert not re.search(r": [432] bits\n", text)
    whole, computed = _macs(made)
    assert computed < 0.8 * whole


def test_bits_and_channels_are_chosen_together_where_bits_alone_are_not_enough(folder: Path, tmp_path: Path) -> None:
    sampled = (folder / "small.tflite", "--calib", folder / "calib.npz", "--bits", "auto", "-o", tmp_path / "o.tflite")
    assert "--weight-bytes 15% is too little" in _run(*sampled, "--weight-bytes", "15%")
    text = _run(*sampled, "--weight-bytes", "15%", "--prune", "channels")
    assert re.search(r"\n\w+: \d+ of 16 channels\n", text), text
    whole, computed = _macs(tmp_path / "o.tflite")
    assert computed < 0.8 * whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("small.tflite", "--prune", "channels"), "--prune channels needs a limit"),
        (("small.tflite", "--prune", "filters"), "'filters' is not 'channels'; write channels, or channels=25%"),
        (("small.tflite", "--prune", "channels=0%"), "'0%' is no part that can go"),
        (("small.tflite", "--prune", "channels=90%"), "--prune channels=90% is too much"),
        (
            ("small.tflite", "--prune", "channels=25%", "--weight-bits", "4"),
            "--prune channels is with 8 bits or --bits",
        ),
        (("small.tflite", "--bits", "auto"), "--bits auto needs a limit"),
        (("small.tflite", "--bits", "auto", "--weight-bytes", "50%", "--flash", "64K"), "two sizes are given"),
        (("small.tflite", "--bits", "auto", "--weight-bytes", "half"), "'half' is not a size"),
        (("small.tflite", "--bits", "auto", "--accuracy-loss", "1"), "'1' is no part; write 1% or 0.5%"),
        (("small.tflite", "--weight-bytes", "50%"), "--weight-bytes needs --bits auto or --prune channels"),
        (("small.tflite", "--bits", "auto", "--weight-bits", "4", "--flash", "64K"), "--bits auto chooses what"),
        (("small.tflite", "--bits", "auto", "--flash", "64K", "--group", "8"), "--group needs --weight-bits"),
        (("float.onnx", "--method", "learned"), "--method needs --weight-bits"),
        (("small.tflite", "--bits", "4"), "--weight-bits 4 gives all layers 4 bits"),
        (("small.tflite", "--weight-bits", "4"), "`quantize --bits auto` gives its layers fewer bits"),
    ],
)
def test_limits_that_make_no_sense_are_refused(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    model, *others = arguments
    assert message in _run(folder / model, *others, "--calib", folder / "calib.npz", "-o", folder / "no.tflite")


@pytest.mark.parametrize("few", ["--weight-bytes 1%", "--flash 1K"])
def test_the_least_that_is_possible_is_said_as_the_user_wrote_it(folder: Path, few: str) -> None:
    """What is tried then succeeds, and with no bytes left."""
    sampled = (folder / "float.onnx", "--calib", folder / "floats.npz", "--calib-method", "minmax", "--bits", "auto")
    text = _run(*sampled, *few.split(), "-o", folder / "least.onnx")
    assert "float.onnx: --" in text and "is too little" in text and "with the fewest bits" in text
    found = re.search(r"try: (--[a-z-]+) ([0-9.]+%?)", text)
    assert found is not None and found[1] == few.split()[0]
    text = _run(*sampled, found[1], found[2], "-o", folder / "least.onnx")
    assert "written to" in text and ": 2 bits" in text


@pytest.mark.parametrize("kind", ["Conv", "LSTM"])
def test_models_without_such_layers_are_named(kind: str, tmp_path: Path) -> None:
    """A depthwise convolution; a recurrent layer, of which nothing has 8 bits."""
    shape, sizes, attributes = {
        "Conv": ((1, 6, 5, 5), [(6, 1, 3, 3)], {"group": 6}),
        "LSTM": ((5, 1, 6), [(1, 8, 6), (1, 8, 2)], {"hidden_size": 2}),
    }[kind]
    constants = [numpy_helper.from_array(np.ones(each, np.float32), f"w{i}") for i, each in enumerate(sizes)]
    node = helper.make_node(kind, ["x", *(each.name for each in constants)], ["y"], "only", **attributes)
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None)))
    net = helper.make_graph([node], "net", [x], [y], constants)
    onnx.save(helper.make_model(net, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "net.onnx")
    np.savez(tmp_path / "c.npz", x=np.random.default_rng(0).normal(0, 1, (6, *shape)).astype(np.float32))
    options = ("--calib", tmp_path / "c.npz", "--bits", "auto", "--weight-bytes", "50%", "-o", tmp_path / "o.onnx")
    text = _run(tmp_path / "net.onnx", *options)
    assert "net.onnx: no layer's weights can have fewer than 8 bits" in text and "tinycompile-" not in text


def test_the_ending_says_what_is_written(folder: Path) -> None:
    text = _run(folder / "float.onnx", "--calib", folder / "floats.npz", "-o", folder / "no.bin")
    assert "neither .onnx nor .tflite" in text and not (folder / "no.bin").exists()


def test_an_int8_file_becomes_a_file_of_its_own_kind(folder: Path) -> None:
    options = ("--calib", folder / "calib.npz", "--bits", "auto", "--flash", "64K")
    assert "-o out.tflite" in _run(folder / "small.tflite", *options, "-o", folder / "no.onnx")


@pytest.fixture(scope="module")
def wide(folder: Path) -> Path:
    """A network whose weights take more than the code that unpacks them, beside a tiny one."""
    (folder / "tiny.tflite").write_bytes(nets.content(4))
    path = folder / "wide.tflite"
    path.write_bytes(nets.content(96))
    return path


def _within(model: Path, sizes: list[int]) -> tuple[BuiltWithin, list[Path]]:
    """With a stand-in for the build, since what is asked for is which files it is given. `sizes`: of its firmware."""
    limit, seen = 40_000, list[Path]()

    def build(models: list[Path], options: Options, **_: object) -> list[Any]:
        assert options.calibration.samples is None and options.flash == limit
        seen.append(models[0])
        if (size := sizes[len(seen) - 1]) > limit:
            raise FirmwareTooLargeError(size, limit, Options())
        added = dict[str, Any]()
        return [SimpleNamespace(report=added, add_to_report=added.__setitem__)]

    options = Options.of("stm32f746", calib=model.parent / "calib.npz", flash=limit)
    return build_within(model, options, 1.0, output=model.parent / "out", build=build), seen  # pyright: ignore


@pytest.mark.parametrize("sizes", [[41_000, 40_500, 40_000], [80_000, 39_000, 39_000]])
def test_a_build_that_is_too_large_gets_fewer_bits_until_it_fits(wide: Path, sizes: list[int]) -> None:
    """Fewer again where the first choice came out too large; the fewest where estimates say that nothing does."""
    found, seen = _within(wide, sizes)
    assert seen[0] == wide and len(seen) == len(sizes)
    assert found.bits is not None
    eight = min(row.choice.flash for row in found.bits.front if not row.choice.bits)
    excess = sum(size - 40_000 for size in sizes[:-1])
    saved = eight - found.bits.fit.choice.flash
    assert found.bits.fit.choice.bits
    front = json.loads(json.dumps(found.build.report["low_bits"], allow_nan=False))["front"]
    assert [point["weights_bytes"] for point in front] == [row.choice.bytes for row in found.bits.front]
    (chosen,) = (point for point in front if point["chosen"])
    assert chosen["bits"] == found.bits.fit.choice.bits
    assert chosen["measured"]["agreement"] == found.bits.fit.measured.agreement
    reference = next(point for point in front if not point["bits"])
    assert reference["predicted_sqnr_db"] is None and reference["measured"] is None
    assert saved >= excess if sizes[0] < 80_000 else saved == max(eight - r.choice.flash for r in found.bits.front)


@pytest.mark.parametrize(
    ("model", "sizes", "message"),
    [
        ("wide", [90_000, 50_000], "takes 50,000 bytes of flash at least.*--flash 50000"),
        ("tiny", [40_040], "fewer bits save nothing here: what unpacks weights takes more.*--flash 40040"),
    ],
)
def test_a_build_that_never_fits_says_the_least_that_was_measured(
    folder: Path, wide: Path, model: str, sizes: list[int], message: str
) -> None:
    with pytest.raises(DoesNotFitError, match=f"(?s){message}"):
        _within(folder / f"{model}.tflite", sizes)


def test_accuracy_loss_needs_a_budget_and_samples(folder: Path) -> None:
    with pytest.raises(UsageError, match="--accuracy-loss needs --flash and --calib"):
        build_within(folder / "small.tflite", Options.of("stm32f746"), 1.0, output=folder / "out")
