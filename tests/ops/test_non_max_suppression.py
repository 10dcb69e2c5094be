"""NON_MAX_SUPPRESSION_V4 and V5 against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.agreement import agree
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite


def model(boxes: int, size: int, overlap: float, least: float, sigma: float | None):
    """(builder, inputs, outputs); V5 where there is a sigma."""
    b = TfliteBuilder()
    inputs = [b.tensor((boxes, 4), dtype="float32"), b.tensor((boxes,), dtype="float32")]
    numbers = [np.array(size, np.int32), np.array(overlap, np.float32), np.array(least, np.float32)]
    numbers += [] if sigma is None else [np.array(sigma, np.float32)]
    outputs = [b.tensor((size,), dtype="int32")]
    outputs += [] if sigma is None else [b.tensor((size,), dtype="float32")]
    outputs.append(b.tensor((), dtype="int32"))
    kind = "NON_MAX_SUPPRESSION_V4" if sigma is None else "NON_MAX_SUPPRESSION_V5"
    b.op(kind, [*inputs, *(b.constant(number) for number in numbers)], outputs)
    return b, inputs, outputs


def detections(seed: int, boxes: int) -> list[np.ndarray]:
    """Boxes, some of them by their other corners; scores of which no two are the same."""
    rng = np.random.default_rng(seed)
    centre, size = rng.uniform(0, 1, (boxes, 2)), rng.uniform(0.05, 0.5, (boxes, 2))
    corners = np.concatenate([centre - size / 2, centre + size / 2], 1).astype(np.float32)
    corners[::3] = corners[::3][:, [2, 1, 0, 3]]
    return [corners, (rng.permutation(boxes) / boxes).astype(np.float32)]


@pytest.mark.parametrize("sigma", [None, 0.0, 0.5])
@pytest.mark.parametrize(
    ("boxes", "size", "overlap", "least"), [(40, 12, 0.4, 0.2), (9, 20, 0.1, -np.inf), (60, 5, 1.0, 0.0)]
)
def test_random_boxes(boxes, size, overlap, least, sigma):
    b, inputs, outputs = model(boxes, size, overlap, least, sigma)
    agree(b, inputs, outputs, [detections(seed, boxes) for seed in range(8)], tolerance=1e-6)


@pytest.mark.parametrize("sigma", [None, 0.5])
def test_equal_scores_and_empty_boxes(sigma):
    """LiteRT's heap decides which of them comes first; an empty box overlaps with none, not even with itself."""
    b, inputs, outputs = model(50, 30, 0.3, 0.1, sigma)
    samples = [detections(seed, 50) for seed in range(8)]
    for seed, (corners, scores) in enumerate(samples):
        scores[:] = np.round(scores * 8) / 8
        corners[seed::9, 2] = corners[seed::9, 0]
    agree(b, inputs, outputs, samples, tolerance=1e-6)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((3, 1.5, 0.5), "an overlap threshold of 1.5"),
        ((3, 0.5, np.nan), "no number"),
    ],
)
def test_what_is_refused(numbers, message):
    b, inputs, outputs = model(9, *numbers, None)
    with pytest.raises((ModelFileError, UnsupportedError), match=message):
        import_tflite(b.build(inputs, outputs), "m", "m.tflite")


def test_a_threshold_that_is_computed():
    b, inputs, outputs = model(9, 3, 0.5, 0.5, None)
    b.tensors[b.ops[0].inputs[4]].data = None
    with pytest.raises(UnsupportedError, match="the score threshold is computed at run time"):
        import_tflite(b.build([*inputs, b.ops[0].inputs[4]], outputs), "m", "m.tflite")
