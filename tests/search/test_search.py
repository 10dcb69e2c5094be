"""The search: what is found depends on the seed alone, not on workers, their order, or who was killed when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support.full import FULL
from tinycompile.errors import DoesNotFitError, SamplesError, TinycompileError, ToolFailedError, UsageError
from tinycompile.options import Options
from tinycompile.search import driver, finish
from tinycompile.search.data import FOLDS, Data
from tinycompile.search.page import save_page
from tinycompile.search.pool import Pool
from tinycompile.search.prices import Limits
from tinycompile.search.settings import Search
from tinycompile.search.space import Config, Space
from tinycompile.search.study import EXHAUSTED, ROUND, Candidate, Priced, Study, front_of
from tinycompile.search.tasks import AnyTask, Bench, Done, Final, Result, Setup, Task
from tinycompile.search.trainer import Recipe

pytest.importorskip("optuna")

SPACE = """
from tinycompile.search import Network

PARAMETERS = {"width": [2, 4, 6, 8], "deep": [1, 2, 3], "kernel": [1, 3], "kind": ["plain", "separable"]}


def build(config, shape, classes):
    net = Network(shape)
    for _ in range(config["deep"]):
        if config["kind"] == "separable":
            net.depthwise(config["kernel"])
        net.conv(config["width"], config["kernel"])
    return net.global_average().dense(classes)
"""

TRAINER = """
import os
import signal
from pathlib import Path


def train(model, samples, judged, recipe, seed, stop, every):
    size = sum(1 for _ in model.graph.node) + len(model.graph.initializer[0].raw_data) / 1000
    killer = Path(__file__).with_name("killed")
    if killer.exists():
        if killer.read_text() == "once":
            killer.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return model, 1 - 1 / (1 + size) - (seed % 97) / 1e4
"""


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return search_in(tmp_path)


def search_in(tmp_path: Path, workers: int = 1) -> Search:
    """A search for a small network with a trainer that trains nothing."""
    space, trainer, data = (tmp_path / name for name in ("space.py", "trainer.py", "data.npz"))
    space.write_text(SPACE)
    trainer.write_text(TRAINER)
    random = np.random.default_rng(0)
    np.savez(data, x=random.normal(0, 1, (30, 1, 4, 4)), y=np.arange(30) % 3)
    limits = Limits(ram=4096, instructions=60_000)
    return Search(
        str(space),
        data,
        tmp_path / "out",
        "stm32f103",
        limits,
        12,
        Recipe(epochs=2),
        trainer=str(trainer),
        folds=2,
        workers=workers,
    )


class InProcess:
    """Runs tasks here, those of a round in another order, as so many workers may finish them; dies when told."""

    dies_after: int | None = None

    def __init__(self, setup: Setup, workers: int) -> None:
        self._setup, self._workers = setup, workers

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, tasks: Sequence[AnyTask]) -> Iterator[Done]:
        bench = Bench.of(self._setup)
        for task in sorted(tasks, key=lambda task: (task.number % self._workers, task.number)):
            found = bench.run(task)
            if InProcess.dies_after is not None:
                InProcess.dies_after -= 1
                if not InProcess.dies_after:
                    raise KeyboardInterrupt
            yield found


def test_the_same_is_found_whoever_works_and_whatever_dies(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "opened", lambda _engine, setup, workers: InProcess(setup, workers))
    whole = driver.searched(search, str)
    assert [each.number for each in whole] == list(range(search.trials))
    assert all(each.figures["ram_bytes"] <= 4096 and each.figures["instructions"] <= 60_000 for each in whole)
    other = replace(search, workers=3, output=search.output.with_name("other"))
    interrupted = 0
    for place in (3, ROUND - 3, 2):  # inside of a round, at its end, and in the next one
        InProcess.dies_after = place
        with pytest.raises(KeyboardInterrupt):
            driver.searched(other, str)
        interrupted += 1
    InProcess.dies_after = None
    again = driver.searched(other, str)
    assert interrupted == 3
    assert front_of(again) == front_of(whole)
    assert again == whole


def test_a_folder_has_one_search(search: Search) -> None:
    study = begun(search)
    assert begun(search) == study
    with search.begun(), pytest.raises(UsageError, match="another process searches in"):
        begun(search)
    assert begun(replace(search, output=search.output.with_name("other"))) != study
    (search.output / "trials").mkdir()
    for other, message in (({"seed": 2, "folds": 3}, "folds, seed"), ({"limits": Limits(100, 1)}, "flash, instr")):
        with pytest.raises(UsageError, match=f"has a search with another {message}"):
            begun(replace(search, **other))
    (search.output / "search.json").write_text("{")
    with pytest.raises(UsageError, match="no settings of a search"):
        begun(search)
    (search.output / "search.json").unlink()
    with pytest.raises(UsageError, match="isn't empty"):
        begun(search)
    with pytest.raises(UsageError, match="can't be a folder: file exists"):
        begun(replace(search, output=search.data))


def test_a_folder_in_which_nothing_was_trained_is_any_searches(search: Search) -> None:
    study = begun(search)
    for end in ("", "-wal", "-shm"):
        (search.output / f"study.db{end}").touch()
    changed = replace(search, limits=Limits(ram=100))
    assert begun(changed) == begun(changed) != study
    with search.begun(), pytest.raises(UsageError, match="another process searches in"):
        begun(changed)
    (search.output / "search.json").unlink()
    assert begun(search) not in ("", study)


def begun(search: Search) -> str:
    with search.begun() as study:
        return study


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workers": 0}, "--workers 0 is out of range"),
        ({"finalists": 0}, "--finalists 0"),
        ({"seed": -1}, "--seed -1"),
        ({"folds": 0}, "--folds 0"),
        ({"recipe": Recipe(batch=1)}, "--batch 1"),
        ({"recipe": Recipe(rate=float("nan"))}, "--rate nan"),
        ({"limits": Limits(instructions=0)}, "--instructions 0"),
        ({"target": "nothing"}, "unknown target 'nothing'"),
        ({"space": "nothing"}, "no space 'nothing'"),
        ({"sampler": "TPE"}, "--sampler 'TPE' is unknown"),
        ({"trainer": "nothing"}, "no trainer 'nothing'"),
        ({"data": Path("nothing.npz")}, "no such file"),
    ],
)
def test_what_is_wrong_leaves_no_folder(wrong: dict[str, Any], message: str, search: Search) -> None:
    with pytest.raises(TinycompileError, match=message):
        begun(replace(search, **wrong))
    assert not search.output.exists()


def test_a_storage_has_searches_of_several_folders() -> None:
    space, price = Space("s", {"a": (1, 2)}, lambda *_: None, "s"), Priced({"instructions": 1}, (0.0,), "one")
    storage: Any = pytest.importorskip("optuna").storages.InMemoryStorage()
    one, other = (Study(storage, space, "random", 1, lambda _: price, name) for name in ("one", "other"))
    (found,) = one.round(1)
    one.tell(found, 0.5)
    assert not other.candidates()
    assert Study(storage, space, "random", 1, lambda _: price, "one").candidates() == one.candidates() != []


@pytest.mark.parametrize("storage", ["foo://me:secret@host", "sqlite:////nowhere/a.db"])
def test_a_storage_that_can_not_be_opened(storage: str) -> None:
    space = Space("s", {"a": (1, 2)}, lambda *_: None, "s")
    with pytest.raises(UsageError, match="the storage can't be opened") as raised:
        Study(storage, space, "random", 1, lambda _: Priced(None, (1.0,), "none"))
    assert "secret" not in str(raised.value)


def test_a_candidate_is_measured_by_earlier_rounds(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by those of its own that were trained before an interruption, which would give others up."""
    monkeypatch.setattr(driver, "opened", lambda _engine, setup, workers: InProcess(setup, workers))
    bars = list[tuple[int, float]]()
    run = InProcess.run

    def noted(self: InProcess, tasks: Sequence[AnyTask]) -> Iterator[Done]:
        bars.extend((task.number, task.bar) for task in tasks if isinstance(task, Task))
        return run(self, tasks)

    monkeypatch.setattr(InProcess, "run", noted)
    monkeypatch.setattr(InProcess, "dies_after", 3)
    storage: Any = pytest.importorskip("optuna").storages.InMemoryStorage()
    small = replace(search, trials=5, storage=storage)
    with pytest.raises(KeyboardInterrupt):
        driver.searched(small, str)
    first, *_, last = driver.searched(small, str)
    assert last.figures["instructions"] > first.figures["instructions"]
    assert bars == [(number, 0.0) for number in (0, 1, 2, 3, 4, 3, 4)]


def test_a_worker_that_is_killed_loses_its_task_only(search: Search) -> None:
    search.output.mkdir()
    killer = search.output.with_name("killed")
    config: dict[str, Any] = {"width": 2, "deep": 1, "kernel": 1, "kind": "plain"}
    killer.write_text("once")
    with Pool(search.setup, 1) as pool:
        found = list(pool.run([Task(number, config, 0.0) for number in range(3)]))
        assert sorted(each.number for each in found) == [0, 1, 2]
        assert not killer.exists()
        assert Result.read(search.output, 1) in found
        (worker,) = pool.processes
        os.kill(worker, signal.SIGKILL)  # while it waits
        os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
        assert [each.number for each in pool.run([Task(3, config, 0.0)])] == [3]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            "def train(*_): return 1 // 0",
            "with width=2 deep=1 kernel=1 kind=plain: its training fails: ZeroDivisionError",
        ),
        ("def train(model, *_): return model", "the trainer returns ModelProto"),
        ("def train(model, *_): return model, float('nan')", "the trainer returns nan"),
        ("raise RuntimeError('no')", "importing the trainer fails: RuntimeError: no"),
    ],
)
def test_a_trainer_that_is_wrong(train: str, message: str, search: Search) -> None:
    search.output.with_name("trainer.py").write_text(train)
    config: dict[str, Any] = {"width": 2, "deep": 1, "kernel": 1, "kind": "plain"}
    with pytest.raises(UsageError, match=message):
        Bench.of(search.setup).run(Task(0, config, 0.0))


def test_a_task_that_kills_every_worker_is_an_error(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinycompile.search.pool.ATTEMPTS", 1)
    search.output.with_name("killed").write_text("always")
    config: dict[str, Any] = {"width": 2, "deep": 1, "kernel": 1, "kind": "plain"}
    with Pool(search.setup, 1) as pool, pytest.raises(ToolFailedError, match="candidate 7 killed 1 workers"):
        list(pool.run([Task(7, config, 0.0)]))


def test_what_is_far_behind_something_no_slower_is_given_up(search: Search) -> None:
    config: dict[str, Any] = {"width": 2, "deep": 1, "kernel": 1, "kind": "plain"}
    bench = Bench.of(search.setup)
    assert not bench.run(Task(0, config, 0.5)).given_up
    behind = bench.run(Task(1, config, 1.5))
    assert behind.given_up
    assert len(behind.folds) == 1
    assert Result.read(search.output, 1) == behind


def test_choices_that_do_not_fit_and_twins_train_nobody() -> None:
    """Of 6 values 2 are too large, and 2 mean the same network: 3 are trained, and then there are no more.

    Nobody goes on asking once all were priced.
    """
    asked = list[int]()

    def price(config: Config) -> Priced:
        value = int(config["a"])
        asked.append(value)
        figures = {"instructions": 10 * value, "ram_bytes": value, "flash_bytes": 1, "macs": 1, "weights_bytes": 1}
        return Priced(figures, (value / 4 - 1, 0.0, 0.0), str(max(2, value)))

    space = Space("s", {"a": (1, 2, 3, 4, 5, 6)}, lambda *_: None, "s")
    for sampler in ("tpe", "random"):
        study = Study("sqlite:///:memory:", space, sampler, 1, price)
        found = study.round(10)
        assert len(found) == 3
        assert {max(2, int(each.config["a"])) for each in found} == {2, 3, 4}
        for each in found:
            study.tell(each, 0.5 + each.figures["instructions"] / 100)
        assert not study.round(10)
        assert {*asked} == {*range(1, 7)}
        assert len(asked) < EXHAUSTED
        asked.clear()
    with pytest.raises(UsageError, match="--sampler 'grid' is unknown"):
        Study("sqlite:///:memory:", space, "grid", 1, price)


def test_the_front_has_what_nothing_beats() -> None:
    def of(number: int, accuracy: float, instructions: int, given_up: bool = False) -> Candidate:
        return Candidate(number, number, {}, {"instructions": instructions}, accuracy, given_up)

    front = front_of([of(0, 0.9, 100), of(1, 0.9, 90), of(2, 0.8, 95), of(3, 0.7, 10), of(4, 0.99, 5, given_up=True)])
    assert [each.number for each in front] == [1, 3]


def test_samples_are_split_by_class_and_in_order(tmp_path: Path) -> None:
    x, y = np.arange(60.0).reshape(30, 2, 1), np.repeat(np.arange(3), 10)
    np.savez(tmp_path / "d.npz", x=x, y=y, x_test=x[:3], y_test=y[:3])
    data = Data.read(tmp_path / "d.npz")
    assert (data.shape, data.classes, len(data.folds)) == ((2, 1, 1), 3, FOLDS)
    assert data.test is not None
    assert len(data.test) == 3
    judged = [tuple(part.x[:, 0, 0, 0]) for _, part in data.folds]
    assert sorted(value for each in judged for value in each) == list(x[:, 0, 0])
    for train, part in data.folds:
        assert set(part.y) == {0, 1, 2}
        assert len(train) + len(part) == 30
    ((train, part),) = Data.read(tmp_path / "d.npz", folds=1).folds
    assert (len(train), sorted(part.x[:, 0, 0, 0])) == (24, [16.0, 18.0, 36.0, 38.0, 56.0, 58.0])
    np.savez(tmp_path / "d.npz", x=x, y=y, x_validation=x[:6], y_validation=y[:6])
    validated = Data.read(tmp_path / "d.npz")
    assert [len(part) for part in validated.folds[0]] == [30, 6]
    assert "30 samples of 2 channels, 1 steps, 3 classes; candidates are trained 3 times, with 18 " in data.line()
    assert validated.line().endswith("trained once, with 30 samples, and judged by 6; no x_test")
    np.savez(tmp_path / "d.npz", x=np.zeros((6, 4)), y=np.arange(6) % 2)
    assert Data.read(tmp_path / "d.npz").line().startswith("6 samples of 4 features, 2 classes")


def test_the_page_leads_to_the_reports_once_there_are_any(tmp_path: Path) -> None:
    search = search_in(tmp_path)
    search.output.mkdir()
    figures = {"instructions": 2000, "ram_bytes": 300, "flash_bytes": 400}
    candidates = [Candidate(i, i, {"width": i}, figures, accuracy) for i, accuracy in enumerate((0.5, 0.75))]
    best: Any = SimpleNamespace(lines=lambda: ["best: width=1"], firmware={1: figures})
    widths: Any = SimpleNamespace(lines=lambda: ["at several widths"])
    pages = list[str]()
    for given in ((None,), (best,), (best, widths)):
        save_page(search, candidates, *given)
        pages.append((search.output / "index.html").read_text())
    assert [page.count("report.html") for page in pages] == [0, 1, 2]
    assert [page.count("marked *") for page in pages] == [0, 1, 1]
    assert all('<div class="scroll"><table>' in page and "Large dots" in page for page in pages)
    assert pages[0].count("75.00 %") == 1 and "50.00 %" not in pages[0]


def test_limits_say_what_exceeds_them() -> None:
    limits = Limits(ram=100, instructions=2000)
    assert limits.exceeded_by(100, 10**9, None) == ""
    assert limits.exceeded_by(101, 1, 2001) == "takes 101 of 100 RAM, takes 2,001 of 2,000 instructions"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 2))}, "there is no y"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, r"are no samples with classes\n.*classes are integers; np.unique"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((3, 4), int)}, r"\n.*two dimensions; y.argmax\(1\)"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((3, 1), int)}, r"\n.*two dimensions; y\[:, 0\]"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((), int)}, r"\n.*y has the shape"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, r"\n.*3 samples and 2 classes"),
        ({"x": np.zeros(3), "y": np.zeros(3, int)}, r"\n.*x has the shape"),
        ({"x": np.zeros((3, 2)), "y": np.array([-1, 0, 1])}, "classes are 0"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 1, 1, 3])}, "the classes 0, 1, 3"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3, int)}, "the classes 0"),
        ({"x": np.zeros((4, 2)), "y": np.arange(4) % 2, "x_test": np.zeros((1, 2)), "y_test": [2]}, "another part 2"),
        ({"x": np.zeros((4, 2)), "y": np.arange(4) % 2, "x_test": np.zeros((1, 2))}, "there is no y_test"),
        ({"x": np.zeros((4, 2)), "y": np.arange(4) % 2}, "has 2 samples, which are too few to be split in 3"),
        ({"x": np.full((9, 2), np.nan), "y": np.arange(9) % 2}, r"aren't finite .*\n.*sample 0 is the first of 9"),
        (
            {"x": np.zeros((9, 2)), "y": np.arange(9) % 2, "x_test": np.zeros((1, 3)), "y_test": [0]},
            r"of shapes .*\n.*\n.*cut or resize",
        ),
        ({"x": np.full((9, 2), 1e99), "y": np.arange(9) % 2}, "aren't finite"),
        ({"x": np.zeros((9, 0)), "y": np.arange(9) % 2}, r"no samples with classes\n.*no values"),
        ({"x": np.full((9, 2), "1"), "y": np.arange(9) % 2}, r"no samples with classes\n.*no real numbers"),
        ({"x": np.zeros((9, 2), complex), "y": np.arange(9) % 2}, "no samples with classes"),
        (
            {"x": np.zeros((3, 2)), "y": np.zeros(3, int), "x_test": np.zeros((1, 4)), "y_test": [0]},
            "samples of shapes",
        ),
    ],
)
def test_samples_that_are_none(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(SamplesError, match=message):
        Data.read(tmp_path / "d.npz")


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"PK\3\4 and no more")
    np.save(tmp_path / "d.npy", np.zeros((9, 2)))
    for name, message in (("d.npz", "not a readable NumPy file"), ("d.npy", "there is no x and y")):
        with pytest.raises(SamplesError, match=message):
            Data.read(tmp_path / name)


def test_results_are_json(search: Search) -> None:
    Bench.of(search.setup).run(Task(0, {"width": 2, "deep": 1, "kernel": 1, "kind": "plain"}, 0.0))
    assert json.loads(Result.path(search.output, 0).read_text())["config"]["kind"] == "plain"
    assert Result.read(search.output, 1) is None


def test_finalists_are_trained_once_in_each_fold(search: Search) -> None:
    """What an interrupted search had trained at length is read."""
    config: dict[str, Any] = {"width": 2, "deep": 1, "kernel": 1, "kind": "plain"}
    (task, other) = (Final(3, config, fold, 4) for fold in (0, 1))
    bench = Bench.of(search.setup)
    assert task.reached(search.output) is None
    assert bench.run(task) == task
    floats, int8 = task.reached(search.output) or (0, 0)
    assert floats > 0.5  # the trainer's word
    assert 0 <= int8 <= 1
    assert sorted(path.name for path in (search.output / "finalists").iterdir()) == ["00003.0.4", "00003.0.4.json"]
    other.path(search.output).write_text("[0.5, 0.25]")
    assert other.reached(search.output) is None  # of a search that kept no models
    other.model(search.output).parent.mkdir()
    other.model(search.output).write_bytes(task.model(search.output).read_bytes())
    front = [Candidate(3, 3, config, {"instructions": 1}, 0.5)]
    (found,) = finish.trained(front, replace(search, final_epochs=4), cast(Any, InProcess(search.setup, 1)), 2)
    assert (found.accuracy, found.int8_accuracy) == ((floats + 0.5) / 2, (int8 + 0.25) / 2)


def test_finalists_are_priced_as_built(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most of their folds; those that exceed a limit come last, as do those without room."""
    search = replace(search, limits=Limits(ram=4096, flash=20_000), final_epochs=4)
    takes = {0: (4000, 900), 1: (3000, 1000), 2: (4097, 5)}

    def costs(files: Sequence[Path], options: Options, *, measure: str) -> Any:
        (file,) = files
        number, fold, _ = file.parent.name.split(".")
        assert (file.name, measure, options.io, options.flash) == ("best.onnx", "whole", "int8", 20_000)
        if int(number) == 9:
            raise DoesNotFitError("no room")
        ram, instructions = takes[int(fold) + int(number)]
        return [(file, SimpleNamespace(ram_bytes=ram, flash_bytes=10_000, instructions=instructions))]

    monkeypatch.setattr(finish, "costs_of_files", costs)
    best, large, none = (
        finish.priced(finish.Finalist(Candidate(number, 0, {}, {"instructions": 1}, 0.5), 0.5, int8), search, 2)
        for number, int8 in ((0, 0.5), (1, 0.75), (9, 1.0))
    )
    assert best.firmware == {"ram_bytes": 4000, "flash_bytes": 10_000, "instructions": 1000}
    assert (best.excess, large.excess) == ("", "takes 4,097 of 4,096 RAM")
    assert (none.firmware, none.excess) == (None, "does not fit: no room")
    assert min((best, large, none), key=lambda each: each.rank) == best
    assert best.line() == "50.00%, int8 50.00%; 1,000 instructions, 4,000 bytes of RAM, 10,000 of flash as built"


RUN = """
import sys
from pathlib import Path
from tests.search.test_search import search_in
from tinycompile.search import driver, finish

if __name__ == "__main__":
    driver.searched(search_in(Path(sys.argv[1]), workers=2), print)
"""


@pytest.mark.skipif(not FULL, reason="starts a dozen processes: test-full")
def test_driver_and_workers_are_killed(search: Search, tmp_path: Path) -> None:
    """With signal 9: the driver while it trains, twice, and in between a worker."""
    InProcess.dies_after = None
    script = tmp_path / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for finished in (2, 9):
        if finished == 9:
            (tmp_path / "killed").write_text("once")
        driver_process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("out/trials/*.json"))) < finished and time.monotonic() < deadline:
            time.sleep(0.02)
        driver_process.kill()
        driver_process.communicate()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    again = driver.searched(search, str)
    whole = driver.searched(replace(search, output=tmp_path / "whole", workers=2), str)
    assert len(list(tmp_path.glob("out/trials/*.json"))) == search.trials
    assert again == whole
