"""What labels mean for a model's outputs, and messages where they mean nothing."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tinycompile.build import Build
from tinycompile.errors import SamplesError, UsageError
from tinycompile.evaluation.data import Labelled, Task, load_labelled
from tinycompile.evaluation.evaluate import facts_of
from tinycompile.evaluation.scoring import scored
from tinycompile.ir import Array
from tinycompile.report.evaluation import COLUMNS, tables

QUANT = {"dtype": "int8", "scale": 0.5, "zero_point": -1}
REAL = {"dtype": "float32", "scale": None, "zero_point": None}


def entry(name: str, *shape: int, **facts: Any) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), **(facts or QUANT)}


def build_of(folder: Path, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], states: int = 0) -> Build:
    """As far as labels go: what report.json says of the edges."""
    report = {"model": "m", "layers": [], "inputs": inputs, "outputs": outputs, "ram": {"state_bytes": states}}
    (folder / "report.json").write_text(json.dumps(report))
    return Build(folder)


def given(folder: Path, build: Build, **arrays: Array) -> Labelled:
    np.savez(folder / "d.npz", **arrays)  # type: ignore[arg-type]
    return load_labelled(build, folder / "d.npz")


X = np.zeros((4, 6), np.float32)


@pytest.mark.parametrize(
    ("outputs", "labels", "task", "classes"),
    [
        ([entry("o", 1, 3)], np.array([0, 1, 2, 0]), Task.CLASSES, 3),
        ([entry("o", 1, 1, 1, 3)], np.array([[0], [1], [2], [0]], np.uint8), Task.CLASSES, 3),
        ([entry("n", 1, dtype="int64"), entry("p", 1, 3, **REAL)], np.array([0, 1, 2, 0]), Task.CLASSES, 3),
        ([entry("n", 1, dtype="int64")], np.array([0, 7, 2, 0]), Task.CLASSES, 0),
        ([entry("o", 1, 1)], np.array([False, True, True, False]), Task.BINARY, 2),
        ([entry("o", 1, 1)], np.array([0, 3, 1, 1]), Task.REGRESSION, 0),
        ([entry("o", 1, 6)], np.array([0, 1, 1, 0]), Task.ANOMALY, 2),
        ([entry("o", 1, 6)], None, Task.RECONSTRUCTION, 0),
        ([entry("o", 1, 2)], np.zeros((4, 2)), Task.REGRESSION, 0),
        ([entry("o", 1, 2, 3, 5)], np.ones((4, 2, 3), int), Task.POSITIONS, 5),
        ([entry("o", 1, 5, 2, 3)], np.ones((4, 2, 3), int), Task.POSITIONS, 5),
    ],
)
def test_labels_and_outputs_say_what_is_measured(
    tmp_path: Path, outputs: list[dict[str, Any]], labels: Array | None, task: Task, classes: int
) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [{"scale": None, "zero_point": None, **o} for o in outputs])
    found = given(tmp_path, build, x=X, **({} if labels is None else {"y": labels}))
    assert (found.task, found.classes) == (task, classes)
    values = np.zeros((4, *build.outputs[found.output].shape))
    if task != Task.ANOMALY:  # zeros are its input
        assert scored(found, values, 0.5).badness.shape == (4,)


def test_scores_of_places_and_of_two_classes(tmp_path: Path) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 3, 2)])
    labels = np.array([[0, 1, 1], [1, 0, 0]])
    found = given(tmp_path, build, x=X[:2], y=labels)
    outputs = np.zeros((2, 1, 3, 2))
    outputs[..., 1] = [[[-1, 1, 1]], [[1, 1, -1]]]
    result = scored(found, outputs, 0.5)
    assert result.measures["top1"] == pytest.approx(5 / 6)
    assert result.measures["mean_iou"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert result.badness.argmax() == 1
    assert result.measures["auc"] == pytest.approx(8 / 9 - 1 / 18)  # of 9 pairs one is wrong by a tie


def test_scores_of_a_batch_are_each_one_of_their_own(tmp_path: Path) -> None:
    """(4, 1) of a batch of 4, a score at each place of an image, and where it is asked for, any as many as labels."""
    labels = np.array([[0, 1, 1, 0], [1, 0, 0, 1]])
    outputs = np.array([[0.1, 0.9, 0.8, 0.2], [0.3, 0.25, 0.0, 1.0]])
    for shape, task in (((4, 1), "auto"), ((1, 2, 2, 1), "auto"), ((1, 4), "binary")):
        build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", *shape)])
        y = labels.reshape(2, *(size for size in shape if size > 1))
        np.savez(tmp_path / "b.npz", x=X[:2], y=y)
        found = load_labelled(build, tmp_path / "b.npz", task=task)
        assert found.task == Task.BINARY and found.labels is not None and found.labels.shape == (2, 4)
        result = scored(found, outputs.reshape(2, *shape), 0.5)
        assert result.measures["auc"] == 1.0 and result.measures["top1"] == 7 / 8
        assert result.confusion is not None and result.confusion.tolist() == [[4, 0], [1, 3]]
        facts = facts_of(build, found, {"firmware": outputs}, {"firmware": replace(result, badness=np.array([1, 0]))})
        assert facts["worst"] == [{"sample": 0, "badness": 1.0, "picture": None}]


def test_anomalies_score_by_how_far_the_output_is_from_the_input(tmp_path: Path) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 6)])
    found = given(tmp_path, build, x=X, y=np.array([0, 1, 0, 1]))
    outputs = np.zeros((4, 1, 6)) + np.array([0.0, 2.0, 1.0, 0.5])[:, None, None]
    result = scored(found, outputs, 0.5)
    assert result.measures == {"auc": 0.75, "mse": pytest.approx((4 + 1 + 0.25) / 4)}
    assert result.badness.tolist() == [0, 0, 0.5, 0.5]


def test_windows_of_a_recording_are_one_sample(tmp_path: Path) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 6)])
    found = given(tmp_path, build, x=X, y=np.array([0, 0, 1, 1]), group=np.array([7, 7, 3, 3]))
    outputs = np.zeros((4, 1, 6)) + np.array([2.0, 0.0, 1.0, 1.9])[:, None, None]
    assert scored(found, outputs, 0.5).measures["auc"] == 1.0  # means 2 and 2.3; of single windows it is 0.5
    with pytest.raises(SamplesError, match="group 7 has samples of both labels"):
        given(tmp_path, build, x=X, y=np.array([0, 1, 1, 1]), group=np.array([7, 7, 3, 3]))


def test_labels_of_sequences_are_of_their_last_steps(tmp_path: Path) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 2)], states=8)
    for labels, count in ((np.array([1, 1]), 2), (np.array([[0, 1, 1], [1, 0, 0]]), 6)):
        np.savez(tmp_path / "s.npz", x=np.zeros((2, 3, 6), np.float32), y=labels)
        found = load_labelled(build, tmp_path / "s.npz", sequence=True)
        assert (len(found), found.steps, found.per_sequence) == (6, 3, count == 2)
        outputs = np.stack([np.arange(6) % 2, (np.arange(6) + 1) % 2], axis=1)[:, None, :]
        assert scored(found, outputs, 0.5).measures["top1"] == (0.5 if count == 2 else pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("output", "labels", "task", "limit", "wanted"),
    [
        (entry("o", 1, 3), np.arange(6).reshape(2, 3) % 3, Task.CLASSES, None, (6,)),  # as many steps as classes
        (entry("o", 1, 1), np.array([[0, 1, 1], [1, 0, 0]]), Task.BINARY, None, (6,)),
        (entry("o", 1, 1), np.array([0, 1]), Task.BINARY, 1, (1,)),
        (entry("o", 1, 6), np.array([[0, 1, 1], [1, 0, 0]]), Task.ANOMALY, 1, (3,)),
        (entry("n", 1, dtype="int64"), np.array([[0, 7, 1], [1, 0, 0]]), Task.CLASSES, None, (6,)),
        (entry("o", 1, 3), np.zeros((2, 3)), Task.REGRESSION, None, (2, 3)),  # of the last steps
        (entry("o", 1, 3), np.zeros((2, 3, 3)), Task.REGRESSION, None, (6, 3)),
        (entry("o", 1, 3, 5), np.zeros((2, 3), int), Task.POSITIONS, None, (2, 3)),
        (entry("o", 1, 3, 2), np.zeros((2, 3, 3), int), Task.POSITIONS, 1, (3, 3)),
    ],
)
def test_labels_of_steps_mean_what_they_mean_without_sequences(
    tmp_path: Path, output: dict[str, Any], labels: Array, task: Task, limit: int | None, wanted: tuple[int, ...]
) -> None:
    own = {"scale": None, "zero_point": None, **output}
    build = build_of(tmp_path, [entry("x", 1, 6)], [own], states=8)
    np.savez(tmp_path / "s.npz", x=np.zeros((2, 3, 6), np.float32), y=labels)
    found = load_labelled(build, tmp_path / "s.npz", sequence=True, limit=limit)
    assert found.labels is not None and (found.task, found.labels.shape) == (task, wanted)
    outputs = np.random.default_rng(0).normal(size=(len(found), *build.outputs[0].shape))
    assert len(scored(found, outputs, 0.5).badness) == len(found.labels)


def test_steps_of_a_single_sequence(tmp_path: Path) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 2)], states=8)
    np.savez(tmp_path / "s.npz", x=X, y=np.array([0, 1, 1, 0]))
    found = load_labelled(build, tmp_path / "s.npz", sequence=True, limit=1)
    assert (found.steps, found.per_sequence, len(found.counted(X))) == (4, False, 4)


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("size", "labels", "undefined"),
    [
        (3, np.array([0, 1, 1, 0]), []),
        (2, np.array([0, 1, 1, 0]), ["auc"]),
        (1, np.array([0, 1, 1, 0]), ["auc"]),
        (6, np.array([0, 1, 1, 0]), ["auc", "mse"]),
        (3, np.zeros((4, 3)), ["mse", "mae", "r2"]),
        (6, None, ["mse"]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_outputs_that_are_no_numbers(tmp_path: Path, size: int, labels: Array | None, undefined: list[str]) -> None:
    """What isn't defined is none, the others are what they are; the samples with a NaN are the worst ones."""
    build = build_of(tmp_path, [entry("x", 1, 6, **REAL)], [entry("o", 1, size, **REAL)])
    found = given(tmp_path, build, x=X, **({} if labels is None else {"y": labels}))
    outputs = np.ones((4, 1, size))
    outputs[2], outputs[3, 0, 0] = NAN, INF
    result = scored(found, outputs, 0.5)
    facts = facts_of(build, found, {"firmware": outputs, "reference": outputs}, dict.fromkeys(COLUMNS, result))
    assert [key for key, value in facts["columns"][0].items() if value is None] == undefined
    assert facts["agreement"][0]["same_outputs"] == 4 and facts["agreement"][0]["largest_difference"] == 0
    assert result.badness.max() == result.badness[2] and json.dumps(facts, allow_nan=False)


def test_classes_by_their_numbers(tmp_path: Path) -> None:
    """What is no class at all counts as one behind the others; of too many there is no matrix."""
    number = {"scale": None, "zero_point": None, **entry("n", 1, dtype="int64")}
    build = build_of(tmp_path, [entry("x", 1, 6)], [number])
    found = given(tmp_path, build, x=X, y=np.array([0, 1, 2, 2]))
    result = scored(found, np.array([[0], [1 << 40], [2], [-1]]), 0.5)
    assert result.confusion is not None and result.confusion.shape == (4, 4) and result.measures["top1"] == 0.5
    many = scored(given(tmp_path, build, x=X, y=np.array([0, 1, 2, 3000])), np.array([[0], [1], [7], [9]]), 0.5)
    assert many.confusion is None and many.measures["top1"] == 0.5 and len(many.classes) == 3001
    assert many.pairs == [(1, 2, 7), (1, 3000, 9)]
    with pytest.raises(SamplesError, match="is 65536, classes are 0 to 65535"):
        given(tmp_path, build, x=X, y=np.array([0, 1, 2, 65536]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "the file holds: x"),
        (np.array([0, 1, 5, 0]), "y[2] is 5, classes are 0 to 2"),
        (np.array([0.0, 1.0, 2.0, 0.0]), "(4, 3) real numbers; for classes y is an array of integers"),
        (np.array([0, 1, 2]), "3 labels, there are 4 samples"),
        (np.array(2), "1 labels, there are 4 samples"),
        (np.zeros((4, 7), int), "neither one nor one for each place"),
    ],
)
def test_labels_that_mean_nothing(tmp_path: Path, labels: Array | None, message: str) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 3)])
    with pytest.raises(SamplesError) as error:
        given(tmp_path, build, x=X, **({} if labels is None else {"y": labels}))
    assert message in str(error.value)


def test_tasks_that_an_output_can_not_be(tmp_path: Path) -> None:
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 3)])
    np.savez(tmp_path / "d.npz", x=X, y=np.array([0, 1, 1, 0]))
    for task, message in (("binary", "one score a label"), ("anomaly", "as large as an input")):
        with pytest.raises(UsageError, match=message):
            load_labelled(build, tmp_path / "d.npz", task=task)
    with pytest.raises(UsageError, match="there is no output 1"):
        load_labelled(build, tmp_path / "d.npz", output=1)


def test_labels_that_look_like_markup(tmp_path: Path) -> None:
    """Of speech, such as [unknown]."""
    names = ["[unknown]", "[/silence]"]
    build = build_of(tmp_path, [entry("x", 1, 6)], [entry("o", 1, 2)])
    build.report["labels"] = names
    found, outputs = given(tmp_path, build, x=X, y=np.array([0, 1, 1, 0])), np.zeros((4, 1, 2))
    facts = facts_of(build, found, {"firmware": outputs}, {"firmware": scored(found, outputs, 0.5)})
    written = io.StringIO()
    console = Console(file=written, width=100)
    for each in tables({**build.report, "evaluation": {**facts, "data": "[d].npz"}}):
        console.print(each)
    text = written.getvalue()
    assert "[d].npz" in text and all(text.count(name) == 2 for name in names)
