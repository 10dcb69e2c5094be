"""Back ends in C against their definitions, number by number: on this machine under sanitisers, and in QEMU."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.backends.program import on_host, source_for_target, write_program
from tests.support.emulated_kernel import run_program
from tests.support.full import also
from tinycompile.backends.anomaly import Anomaly, anomaly_of
from tinycompile.backends.boxes import Boxes, boxes_of
from tinycompile.backends.request import read_requests
from tinycompile.backends.resolve import resolve
from tinycompile.backends.scores import LargestScore, TopK
from tinycompile.backends.smoothing import Smoothing
from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Quantization, TensorType

SAMPLES = 60


def tensor(*shape: int, dtype: object = INT8, scale: float = 1 / 256, zero: int = -128) -> TensorType:
    quant = None if dtype == FLOAT32 else Quantization.per_tensor(scale, zero)
    return TensorType(shape, dtype, quant)  # type: ignore[arg-type]


def request(text: str):
    return read_requests([text])[0]


def no_data(*_: object) -> Array:
    raise AssertionError("nobody asks for data")


def scores(seed: int, dtype: str = "int8", classes: int = 6) -> Array:
    """Few different numbers, so that many are equal."""
    rng = np.random.default_rng(seed)
    low, high = (0, 5) if dtype == "uint8" else (-3, 3)
    return rng.integers(low, high, (SAMPLES, classes)).astype(dtype)


CLASSES = """
    for (int32_t i = 0; i < %d; ++i) {
        m_candidate found[M_TOP_K];
        SAMPLE(i);
        const int32_t best = m_class(&context);
        WRITE(&best, 4u);
        if (m_top_k(&context, found) != M_OK || m_class_label(&context) != m_labels[best]) {
            return;
        }
        for (int32_t j = 0; j < M_TOP_K; ++j) {
            WRITE(&found[j].number, 4u);
            WRITE(&found[j].score, (uint32_t)sizeof found[j].score);
            if (found[j].label != m_labels[found[j].number]) {
                return;
            }
        }
    }
    if (m_class(NULL) == -1 && m_class_label(NULL) == NULL && m_top_k(&context, NULL) == M_ERROR_NULL) {
        WRITE(&context, 1u);
    }
"""


def classes_case(folder: Path, dtype: object, name: str, k: int) -> bytes:
    """The program, and what it has to write."""
    t = tensor(1, 6, dtype=dtype)
    found = resolve(read_requests(["class", f"top_k:k={k}"]), [t], [t], no_data, folded=True)
    largest, top = found
    assert isinstance(largest, LargestScore) and isinstance(top, TopK)
    given, expected = scores(k, name), list[bytes]()
    if dtype == FLOAT32:
        given[0] = np.nan, -2, np.inf, -np.inf, np.nan, 0
        given[1], given[2] = np.nan, (-np.inf, np.nan, -1e-45, -0.0, 0.0, -1)
    for sample in given:
        expected.append(np.int32(largest(sample)).tobytes())
        assert top(sample)[0][0] == largest(sample)
        expected += [np.int32(number).tobytes() + sample[number].tobytes() for number, _ in top(sample)]
    write_program(folder, found, {"output_0": given}, CLASSES % SAMPLES, [f"label {i}" for i in range(6)])
    return b"".join(expected)


@pytest.mark.parametrize(
    ("dtype", "name", "k"),
    [(INT8, "int8", 3), (FLOAT32, "float32", 6), *also((UINT8, "uint8", 1), (INT16, "int16", 2))],
)
def test_the_largest_scores(tmp_path: Path, dtype: object, name: str, k: int) -> None:
    expected = classes_case(tmp_path, dtype, name, k)
    assert on_host(tmp_path)[:-1] == expected


SMOOTHING = """
    m_smoothing smoothing;
    for (int32_t round = 0; round < 2; ++round) {
        m_smoothing_reset(&smoothing);
        for (int32_t i = 0; i < %d; ++i) {
            SAMPLE(i);
            const int32_t found = m_smoothing_update(&smoothing, &context);
            WRITE(&found, 4u);
        }
    }
"""


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("smoothing:window=5,minimum=2,threshold=0.002,refractory=3,ignored=1", INT8),
        ("smoothing:threshold=0.9,step=0.37", FLOAT32),
        *also(("smoothing:window=1,threshold=0.004,refractory=0", INT8), ("smoothing:threshold=-2.5", INT16)),
    ],
)
def test_smoothing(tmp_path: Path, text: str, dtype: object) -> None:
    zero = 0 if dtype == INT16 else -1
    t = tensor(1, 6, dtype=dtype, zero=zero)
    smoothing = Smoothing.of(request(text), [t])
    given = scores(5, "int16" if dtype == INT16 else "int8")
    if dtype == FLOAT32:
        given = given.astype(np.float32) * np.float32(0.55)
        given[3] = np.inf, -np.inf, np.nan, 1e-40, 1e30, -0.185
    expected = list[int]()
    for _ in range(2):
        smoother = smoothing.start()
        expected += [-1 if found is None else found for found in map(smoother, given)]
    assert len(set(expected)) > 2
    assert not set(smoothing.ignored) & set(expected)
    write_program(tmp_path, [smoothing], {"output_0": given}, SMOOTHING % SAMPLES)
    assert on_host(tmp_path) == np.array(expected, np.int32).tobytes()


def test_smoothing_by_its_definition_in_real_numbers() -> None:
    """A mean reaches the threshold exactly where the sum reaches its limit."""
    t = tensor(1, 6, scale=0.1, zero=7)
    smoothing = Smoothing.of(request("smoothing:window=4,minimum=1,threshold=0.5"), [t])
    scale = Fraction(float(np.float32(0.1)))
    for n, limit in enumerate(smoothing.limits, 1):
        for total in range(n * 7, n * 15):
            assert (scale * (Fraction(total, n) - 7) >= Fraction("0.5")) == (total >= limit)


ANOMALIES = """
    for (int32_t i = 0; i < %d; ++i) {
        SAMPLE(i);
        const uint64_t error = m_reconstruction_error(&context, input + i * %d);
        const int32_t found = m_anomaly(&context, input + i * %d);
        WRITE(&error, 8u);
        WRITE(&found, 4u);
    }
    const int32_t nothing = m_anomaly(&context, NULL);
    WRITE(&nothing, 4u);
"""


def anomaly_case(folder: Path, given: TensorType, made: TensorType) -> tuple[Anomaly, bytes, Array, Array]:
    rng = np.random.default_rng(9)
    ranges = [(-4000, 4000) if t.dtype == FLOAT32 else t.dtype.range for t in (given, made)]
    x, y = (
        rng.integers(low, high + 1, (SAMPLES, 40)).astype(t.dtype.carrier)
        for t, (low, high) in zip((given, made), ranges, strict=True)
    )
    (x[0], x[1]), (y[1], y[0]) = ranges  # as far apart as can be
    if given.dtype == FLOAT32:
        x, y = x * np.float32(1.7e-3), y * np.float32(1.3e-3)
    anomaly = anomaly_of(request("anomaly:data=x.npz,percentile=75"), [given], [made], lambda _, of: of(x, y))
    errors = anomaly(x, y)
    expected = b"".join(
        error.tobytes() + np.int32(error > anomaly.limit).tobytes() for error in errors.astype(np.uint64)
    )
    assert sum(int(error) > anomaly.limit for error in errors) == SAMPLES // 4
    write_program(folder, [anomaly], {"output_0": y, "input": x}, ANOMALIES % (SAMPLES, 40, 40))
    return anomaly, expected + np.int32(-1).tobytes(), x, y


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (tensor(1, 40, scale=0.5, zero=3), tensor(1, 40, scale=0.31, zero=-9)),
        (tensor(1, 40, dtype=FLOAT32), tensor(1, 40, dtype=FLOAT32)),
        *also(
            (tensor(1, 40, scale=0.5, zero=3), tensor(1, 40, scale=0.5, zero=-9)),
            (tensor(1, 40, dtype=UINT8, scale=0.5, zero=3), tensor(1, 40, dtype=INT16, scale=0.001, zero=0)),
            (tensor(1, 40, dtype=INT16, scale=0.5, zero=0), tensor(1, 40, dtype=INT16, scale=0.7, zero=0)),
        ),
    ],
)
def test_anomalies(tmp_path: Path, given: TensorType, made: TensorType) -> None:
    anomaly, expected, x, y = anomaly_case(tmp_path, given, made)
    assert on_host(tmp_path) == expected
    if given.dtype == FLOAT32:
        np.testing.assert_allclose(anomaly(x, y) * float(anomaly.unit), np.square(x - y).mean(axis=1), rtol=1e-3)
        return
    real = np.square(
        (x.astype(float) - given.zero_point) * given.scale - (y.astype(float) - made.zero_point) * made.scale
    )
    np.testing.assert_allclose(anomaly(x, y) * float(anomaly.unit), real.mean(axis=1), rtol=2e-3)


def test_an_anomaly_s_limit_from_a_threshold() -> None:
    t = tensor(1, 40, scale=0.5, zero=3)
    anomaly = anomaly_of(request("anomaly:threshold=1.26"), [t], [t], no_data)
    assert anomaly.multipliers == (1, 1)
    assert anomaly.limit == int(1.26 * 40 / 0.25)  # squares of halves


BOXES = """
    m_boxes found;
    for (int32_t i = 0; i < %d; ++i) {
        SAMPLE(i);
        if (m_find_boxes(&context, &found) != M_OK) {
            return;
        }
        WRITE(&found.count, 4u);
        WRITE(found.box, (uint32_t)found.count * 24u);
    }
"""


def boxes_case(
    folder: Path, text: str, outputs: list[TensorType], anchors: int, images: int = 12
) -> tuple[Boxes, bytes]:
    """Random heads: boxes that overlap, scores that are equal."""
    rng = np.random.default_rng(3)
    cells = rng.integers(0, 4, (anchors, 2)) / 4
    sides = rng.choice([0.25, 0.4, 0.8], (anchors, 2))
    np.savez(folder / "anchors.npz", anchors=np.concatenate([cells, sides], axis=1), steps=np.full((1, 2), 0.25))
    anchored = "" if "decoded" in text else f"anchors={folder / 'anchors.npz'},"
    boxes = boxes_of(request(f"boxes:{anchored}{text}"), outputs)
    arrays: list[Array] = [rng.integers(-128, 128, (images, t.elements)).astype(np.int8) // 2 for t in outputs]
    if outputs[-1].dtype == UINT8:
        arrays[-1] = (arrays[-1].astype(int) + 128).astype(np.uint8)
    expected, counts = list[int](), list[int]()
    for i in range(images):
        found = boxes([array[i] for array in arrays])
        counts.append(len(found))
        expected += [len(found), *(number for box in found for number in box)]
    assert max(counts) > 2
    write_program(folder, [boxes], {f"output_{i}": a for i, a in enumerate(arrays)}, BOXES % images)
    return boxes, np.array(expected, np.int32).tobytes()


SSD = [tensor(1, 30, 4, scale=0.06, zero=2), tensor(1, 30, 5, scale=1 / 128, zero=0)]
TWO = [
    *(tensor(1, 20, 4, scale=0.06, zero=2), tensor(1, 20, 5, scale=1 / 128, zero=0)),
    *(tensor(1, 4, 10, scale=0.05), tensor(1, 50, scale=1 / 256, zero=-20)),
]
HEADS = [
    ("background=0,score=0.3,overlap=0.4,candidates=12,most=6", SSD),
    *also(
        ("score=0.4,across=all,scales=8:9:4:6", SSD),
        ("score=0.6,activation=sigmoid", [SSD[0], tensor(1, 5, 30, dtype=UINT8, scale=0.1, zero=100)]),
        ("style=yolo3,score=0.2", [tensor(1, 2, 5, 3 * 8, scale=0.05, zero=-4)]),
        ("style=yolo5,score=0.2,across=all", [tensor(1, 2, 5, 3 * 8, scale=0.05, zero=-4)]),
        ("style=decoded,unit=64,score=0.2,values=first", [tensor(1, 10, 30, scale=0.5)]),
        ("style=decoded,objectness=yes,score=0.02,scores=0:1,values=last", [*[tensor(1, 30, 6, scale=1 / 200)] * 2]),
        ("encodings=0:2,scores=1:3,score=0.3", [*TWO[:4]]),
        ("style=yolo3,score=0.2,scores=1:0", [tensor(1, 5, 2, 8, scale=0.05, zero=-4), tensor(1, 5, 4, 8, scale=0.04)]),
        ("style=yolo5,score=0.2", [tensor(1, 8, 30, scale=0.05, zero=-4)]),
    ),
]


@pytest.mark.parametrize(("text", "outputs"), HEADS)
def test_boxes(tmp_path: Path, text: str, outputs: list[TensorType]) -> None:
    _, expected = boxes_case(tmp_path, text, outputs, 30)
    assert on_host(tmp_path) == expected


EVERYTHING = """
    m_smoothing smoothing;
    m_smoothing_reset(&smoothing);
    for (int32_t i = 0; i < 12; ++i) {
        static m_boxes boxes;
        m_candidate best[M_TOP_K];
        SAMPLE(i);
        if (m_top_k(&context, best) != M_OK || m_find_boxes(&context, &boxes) != M_OK) {
            return;
        }
        const int32_t found[] = {m_class(&context), best[2].number, m_smoothing_update(&smoothing, &context),
                                 m_anomaly(&context, input + 40 * i), boxes.count};
        WRITE(found, sizeof found);
        WRITE(boxes.box, (uint32_t)boxes.count * 24u);
    }
"""


def test_all_of_them_in_qemu(tmp_path: Path) -> None:
    """One firmware: the same C, by the board's compiler."""
    rng = np.random.default_rng(1)
    types = [tensor(1, 6, zero=-1), tensor(1, 40, scale=0.31, zero=-9), *SSD]
    given = tensor(1, 40, scale=0.5, zero=3)
    arrays = [scores(5)[:12], *(rng.integers(-64, 64, (12, t.elements)).astype(np.int8) for t in (given, *types[1:]))]
    classes, x, made, *heads = arrays
    top, smoothing = TopK.of(request("top_k"), types), Smoothing.of(request("smoothing:threshold=0.002"), types)
    anomaly = anomaly_of(request("anomaly:data=x.npz,percentile=50"), [given], types, lambda _, of: of(x, made))
    cells = np.concatenate([rng.integers(0, 4, (30, 2)) / 4, rng.choice([0.25, 0.4], (30, 2))], axis=1)
    np.savez(tmp_path / "anchors.npz", anchors=cells)
    settings = f"anchors={tmp_path / 'anchors.npz'},encodings=2,scores=3,score=0.3,overlap=0.3"
    boxes = boxes_of(request(f"boxes:{settings}"), types)
    smoother, expected = smoothing.start(), list[int]()
    for i, sample in enumerate(classes):
        word = smoother(sample)
        expected += [LargestScore(top.scores)(sample), top(sample)[2][0], -1 if word is None else word]
        found = boxes([classes[i], made[i], *(head[i] for head in heads)])
        expected += [int(anomaly(x[i : i + 1], made[i : i + 1])[0]) > anomaly.limit, len(found)]
        expected += [number for box in found for number in box]
    outputs = {f"output_{i}": array for i, array in enumerate([classes, made, *heads])}
    found_by = [LargestScore(top.scores), top, smoothing, anomaly, boxes]
    write_program(tmp_path, found_by, {**outputs, "input": x}, EVERYTHING)
    assert run_program(source_for_target(), "mps2-an386", folder=tmp_path) == np.array(expected, np.int32).tobytes()


def test_decoded_boxes_are_those_of_real_numbers(tmp_path: Path) -> None:
    """Within the resolution of their tables: places, sizes, scores and overlaps by floats."""
    boxes, _ = boxes_case(tmp_path, "background=0,score=0.3,overlap=0.4,candidates=30,most=30", SSD, 30)
    rng = np.random.default_rng(8)
    codes, marks = (rng.integers(-60, 60, t.elements).astype(np.int8) for t in SSD)
    anchors = np.load(tmp_path / "anchors.npz")["anchors"]
    real = (codes.reshape(30, 4) - 2.0) * 0.06
    centre, side = anchors[:, :2] + real[:, :2] / 10 * anchors[:, 2:], np.exp(real[:, 2:] / 5) * anchors[:, 2:]
    corners = np.concatenate([centre - side / 2, centre + side / 2], axis=1)
    marked = marks.reshape(30, 5)[:, 1:] / 128
    found = boxes([codes, marks])
    assert len(found) > 3
    for *box, number, score in found:
        i = int(np.abs(corners * 2**14 - box).max(axis=1).argmin())
        assert np.abs(corners[i] * 2**14 - box).max() < 3
        assert marked[i].max() * 2**15 == pytest.approx(score, abs=1) and marked[i].argmax() + 1 == number


@pytest.mark.parametrize(
    ("shape", "order", "boxes"),
    [
        ((1, 84, 189), "", 189),  # 80 classes; the other way 185
        ((1, 8400, 84), "", 8400),
        ((1, 84, 21), ",values=first", 21),
        ((1, 84, 21), ",values=last", 84),
        ((1, 84, 84), ",values=last", 84),
        ((1, 84, 21), "", 0),
        ((1, 300, 300), "", 0),
    ],
)
def test_what_of_decoded_boxes_comes_first(shape: tuple[int, ...], order: str, boxes: int) -> None:
    """The larger number is that of boxes, unless both may be."""
    if not boxes:
        with pytest.raises(UsageError, match="boxes or their values may come first") as error:
            boxes_of(request(f"boxes:style=decoded{order}"), [tensor(*shape)])
        assert "values=last for (1, boxes, values)" in str(error.value)
        return
    (head,) = boxes_of(request(f"boxes:style=decoded{order}"), [tensor(*shape)]).heads
    first = shape[2] == boxes and "last" not in order
    assert head.count == boxes and (head.scores.box_step, head.scores.value_step) == (
        (1, boxes) if first else (shape[2], 1)
    )


def test_heads_as_high_as_wide_are_not_guessed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", anchors=np.full((5, 4), 0.5))
    outputs, text = [tensor(1, 5, 4), tensor(1, 5, 5)], f"boxes:anchors={tmp_path / 'a.npz'}"
    with pytest.raises(UsageError, match="output 1 is "):
        boxes_of(request(text), outputs)
    assert boxes_of(request(f"{text},values=last"), outputs).heads[0].scores.box_step == 5
    assert boxes_of(request(f"{text},values=first"), outputs).heads[0].scores.box_step == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["nothing"], "'nothing' is unknown"),
        (["top_k:n=3"], "'n' is no setting of it"),
        (["top_k:3"], "'3' is no setting"),
        (["top_k:k=7"], "an integer from 1 to 6"),
        (["top_k:k=x"], "k=x"),
        (["class", "class"], "it was asked for twice"),
        (["class", "smoothing:threshold=0.5"], "it doesn't go with smoothing"),
        (["smoothing"], "threshold is missing"),
        (["smoothing:threshold=1.5"], "no mean is about 1.5"),
        (["smoothing:threshold=0.5,ignored=6"], "classes are 0 to 5"),
        (["smoothing:threshold=0.5,window=3,minimum=4"], "an integer from 1 to 3"),
        (["anomaly:threshold=1"], "output 0 can't be compared with input 0"),
        (["boxes"], "anchors are missing"),
        (["boxes:style=yolo3,unit=64"], "unit is for style=decoded"),
        (["smoothing:threshold=0.5,threshold=0.6"], "threshold is there twice"),
        (["missing.toml"], "no TOML file can be read"),
    ],
)
def test_what_makes_no_sense(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        resolve(read_requests(texts), [tensor(1, 9)], [tensor(1, 6)], no_data, folded=False)
    assert message in str(error.value)


def test_a_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "backend.toml"
    file.write_text("[top_k]\nk = 2\n[smoothing]\nthreshold = 0.25\nignored = [0, 1]\n")
    found = read_requests([str(file)])
    assert [each.text for each in found] == ["top_k:k=2", "smoothing:threshold=0.25,ignored=0:1"]
    assert read_requests([each.text for each in found]) == found
