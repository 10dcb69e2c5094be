"""Without samples: statistics of normalisations say what values are."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from tests.quantize.test_operators import Net
from tests.quantize.test_quantize import samples
from tests.support.litert import Oracle
from tinycompile.cli import main
from tinycompile.errors import QuantizationWarning, UsageError
from tinycompile.frontend.onnx_file import static_model
from tinycompile.quantize import quantize
from tinycompile.quantize.data_free import imagined
from tinycompile.quantize.execution import outputs_of
from tinycompile.quantize.measure import sqnr

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

MEAN, DEVIATION = np.array([3.0, -1.0, 0.5, 8.0], np.float32), 5.0
"""Of real inputs, per channel."""


def real(count: int) -> list[dict[str, np.ndarray]]:
    return [{"x": each["x"] * DEVIATION + MEAN.reshape(1, 4, 1, 1)} for each in samples(count, 4, 8, 8)]


def trained(opset: int = 17, *, normalised: bool = True) -> onnx.ModelProto:
    """A net whose normalisations have the statistics of what they read of real inputs."""
    b = Net()
    b.opset = opset
    x, data = b.input((1, 4, 8, 8)), real(64)
    for _ in range(2):
        x = b.layer(x)
        if normalised:
            model = b.model()
            model.graph.output.extend([onnx.ValueInfoProto(name=x)])
            values = np.concatenate([outputs_of(model, [x], [each], {})[x] for each in data])
            statistics = [values.mean(axis=(0, 2, 3)), values.var(axis=(0, 2, 3))]
            x = b.node(
                "BatchNormalization", x, b.positive(4), b.weights(4), *(b.constant(s, np.float32) for s in statistics)
            )
        x = b.node("Relu", x)
    b.output(b.node("Gemm", b.node("Flatten", x), b.weights(256, 3), b.weights(3)))
    return b.model()


@pytest.mark.parametrize("opset", [17, 18])
def test_the_imagined_network_has_the_values_of_the_real_one(opset: int) -> None:
    model = trained(opset)
    static = static_model(model, "test")
    found = imagined(static, "test")
    assert found.normalisations == 2
    given = np.concatenate([each["x"] for each in found.samples])
    assert np.abs(given.mean(axis=(0, 2, 3)) - MEAN).max() < 0.5 * DEVIATION
    assert 0.5 * DEVIATION < given.std() < 2 * DEVIATION
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            (name,) = node.output
            a, b = (
                np.concatenate([outputs_of(p, [name], [each], {})[name] for each in data])
                for p, data in ((model, real(32)), (found.proto, found.samples))
            )
            np.testing.assert_allclose(a.mean(axis=(0, 2, 3)), b.mean(axis=(0, 2, 3)), atol=0.15)
            np.testing.assert_allclose(a.std(axis=(0, 2, 3)), b.std(axis=(0, 2, 3)), rtol=0.15)


def test_real_inputs_are_followed(tmp_path: Path) -> None:
    """Within a few dB of calibration; without normalisations far from it, as the warning says."""
    found = dict[str, float]()
    np.savez(tmp_path / "c.npz", x=np.concatenate([each["x"] for each in real(32)]))
    held = real(80)[32:]
    for name, normalised, calib in (
        ("calibrated", True, tmp_path / "c.npz"),
        ("statistics", True, None),
        ("none", False, None),
    ):
        model = trained(normalised=normalised)
        onnx.save(model, tmp_path / "m.onnx")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", QuantizationWarning)
            result = quantize(tmp_path / "m.onnx", calib)
        texts = " ".join(str(each.message) for each in caught if each.category is QuantizationWarning)
        said = {"calibrated": "", "statistics": "2 batch normalisations", "none": "no batch normalisation"}[name]
        assert said in texts and ("guessed" in texts) == (calib is None)
        (y,) = (value.name for value in model.graph.output)
        floats, ours = (outputs_of(p, [y], held, {})[y] for p in (model, result.proto))
        found[name] = sqnr(floats, ours)
    assert found["statistics"] > max(25, found["calibrated"] - 4, found["none"] + 3), found


def test_from_the_command_line(tmp_path: Path) -> None:
    """To TFLite; other inputs than floats can't be imagined."""
    onnx.save(trained(), tmp_path / "m.onnx")
    command = ["quantize", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "q.tflite")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "32 random inputs with the statistics of 2 batch normalisations" in result.output
    assert Oracle((tmp_path / "q.tflite").read_bytes()).interpreter.get_output_details()[0]["dtype"] == np.int8
    result = CliRunner().invoke(main, [*command, "--eval", str(tmp_path / "m.onnx")])
    assert result.exit_code == 2 and "--eval needs --calib" in result.output
    b = Net()
    b.output(b.node("Relu", b.node("Cast", b.input((1, 4), "int32"), to=1)))
    with pytest.raises(UsageError, match="input 'x' is int32, which can't be imagined"):
        imagined(static_model(b.model(), "test"), "test")
