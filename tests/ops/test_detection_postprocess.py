"""TFLite_Detection_PostProcess against LiteRT, and behind what makes an SSD of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.agreement import check_kernels, close
from tests.support.litert import Oracle
from tests.support.tflite_builder import SAME, TYPES, TfliteBuilder
from tinycompile import interpreter
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array

NAME = "TFLite_Detection_PostProcess"
Options = dict[str, int | float | bool]
BASE: Options = {
    "max_detections": 6,
    "max_classes_per_detection": 1,
    "nms_score_threshold": 0.2,
    "nms_iou_threshold": 0.4,
    "num_classes": 3,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}


def results(b: TfliteBuilder, options: Options) -> list[int]:
    rows = int(options["max_detections"] * options["max_classes_per_detection"])
    return [b.tensor(shape, dtype="float32") for shape in ((1, rows, 4), (1, rows), (1, rows), (1,))]


def anchors(boxes: int) -> Array:
    rng = np.random.default_rng(9)
    return np.concatenate([rng.uniform(0, 1, (boxes, 2)), rng.uniform(0.1, 0.6, (boxes, 2))], 1).astype(np.float32)


def model(boxes: int, stride: int, options: Options, dtype: str = "float32"):
    """(builder, inputs, outputs)."""
    b = TfliteBuilder()
    quants = [(), ()] if dtype == "float32" else [(0.05, 3), (1 / 256, 0 if dtype == "uint8" else -128)]
    shapes = ((1, boxes, 4), (1, boxes, stride))
    inputs = [b.tensor(shape, *quant, dtype=dtype) for shape, quant in zip(shapes, quants, strict=True)]
    outputs = results(b, options)
    values = anchors(boxes)
    places = b.constant(values) if dtype == "float32" else b.constant((values * 200).astype(dtype), 1 / 200)
    b.custom(NAME, [*inputs, places], outputs, {**BASE, **options})
    return b, inputs, outputs


def detections(seed: int, boxes: int, stride: int, steps: int | None = None) -> list[Array]:
    """Encodings, and scores, of which many are the same where they have few `steps`."""
    rng = np.random.default_rng(seed)
    encodings = rng.normal(0, 1, (1, boxes, 4)).astype(np.float32)
    scores = rng.uniform(0, 1, (1, boxes, stride))
    return [encodings, (scores if steps is None else np.round(scores * steps) / steps).astype(np.float32)]


def compare(b: TfliteBuilder, inputs: list[int], outputs: list[int], samples: list[list[Array]], gaps: int = 1) -> None:
    """Rows that count are LiteRT's, which leaves what is behind them as it was; the others are 0.

    Args:
        gaps: rows of a detection.
    """
    content = b.build(inputs, outputs)
    graph, oracle = import_tflite(content, "m", "m.tflite"), Oracle(content)
    for number, sample in enumerate(samples):
        values, expected = interpreter.run(graph, sample), oracle.run(sample)
        count = int(expected[outputs[3]][0])
        assert int(values[graph.outputs[3]][0]) == count
        for name, index in zip(graph.outputs[:3], outputs[:3], strict=True):
            close(values[name][:, : count * gaps], expected[index][:, : count * gaps], 1e-5)
            assert not values[name][:, count * gaps :].any()
        if number == 0:
            for node in graph.nodes:
                check_kernels(graph, node, {**graph.constants, **values}, 1e-5)


@pytest.mark.parametrize("steps", [None, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_classes_per_detection": 2},
        {"max_classes_per_detection": 3, "nms_score_threshold": 0.0},
        {"use_regular_nms": True, "max_detections": 9},
        {"use_regular_nms": True, "detections_per_class": 2, "max_detections": 3},
    ],
)
def test_random_detections(options, steps):
    """Also with a class more, the background."""
    whole = {**BASE, **options}
    gaps = 1 if options.get("use_regular_nms") else int(whole["max_classes_per_detection"])
    for stride in (3, 4):
        samples = [detections(seed, 40, stride, steps) for seed in range(6)]
        b, inputs, outputs = model(40, stride, whole)
        compare(b, inputs, outputs, samples, gaps)


def test_bytes():
    """LiteRT dequantises uint8."""
    b, inputs, outputs = model(30, 4, BASE, "uint8")
    rng = np.random.default_rng(0)
    shapes = ((1, 30, 4), (1, 30, 4))
    compare(b, inputs, outputs, [[rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes] for _ in range(4)])


def test_an_ssd():
    """Two heads of int8 on a feature map, their results dequantised, a logistic between."""
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    image, boxes = b.tensor((1, 6, 6, 3), 0.05, 3), 36
    heads = list[int]()
    for channels, shape in ((4, (1, boxes, 4)), (3, (1, boxes, 3))):
        layer, flat = b.tensor((1, 6, 6, channels), 0.08, -5), b.tensor(shape, 0.08, -5)
        weights = b.constant(rng.integers(-127, 128, (channels, 3, 3, 3)).astype(np.int8), 0.01)
        bias = b.constant(rng.integers(-99, 99, channels).astype(np.int32), 0.05 * 0.01)
        b.op("CONV_2D", [image, weights, bias], [layer], Padding=SAME, StrideH=1, StrideW=1)
        b.op("RESHAPE", [layer, b.constant(np.array(shape, np.int32))], [flat])
        heads.append(flat)
    scores, floats = b.tensor((1, boxes, 3), 1 / 256, -128), [b.tensor((1, boxes, n), dtype="float32") for n in (4, 3)]
    b.op("LOGISTIC", [heads[1]], [scores])
    b.op("DEQUANTIZE", [heads[0]], floats[:1])
    b.op("DEQUANTIZE", [scores], floats[1:])
    outputs = results(b, BASE)
    b.custom(NAME, [*floats, b.constant(anchors(boxes))], outputs, BASE)
    compare(b, [image], outputs, [[rng.integers(-128, 128, (1, 6, 6, 3)).astype(np.int8)] for _ in range(4)])


def test_anchors_of_another_type():
    b, inputs, outputs = model(9, 3, BASE)
    b.tensors[inputs[0]].dtype, b.tensors[inputs[0]].scale, b.tensors[inputs[0]].zero_point = TYPES["uint8"], [0.5], [0]
    with pytest.raises(UnsupportedError, match="the encodings are uint8 and the anchors float32"):
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nms_iou_threshold": 0.0}, "an overlap threshold of 0"),
        ({"x_scale": 0.0}, "scales of"),
        ({"num_classes": 7}, "7 classes of"),
        ({"max_detections": 0.5}, "its option max_detections is 0.5"),
        ({"shape": 3}, "its option shape is unknown"),
    ],
)
def test_options_that_are_refused(options, message):
    b, inputs, outputs = model(9, 3, BASE)
    b.ops[0].custom_options = {**BASE, **options}
    with pytest.raises((ModelFileError, UnsupportedError), match=message):
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")


def test_options_that_are_missing_or_damaged():
    b, inputs, outputs = model(9, 3, BASE)
    b.ops[0].custom_options = {name: value for name, value in BASE.items() if name != "num_classes"}
    with pytest.raises(ModelFileError, match="its option num_classes is missing"):
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")
    b.ops[0].custom_options = {}
    with pytest.raises(ModelFileError, match="no flexbuffer"):
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")
