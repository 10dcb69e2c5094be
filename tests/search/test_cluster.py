"""Trainings on clusters: tasks as functions from files to files. `make search-engines` starts real clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.search.test_search import search_in
from tinycompile.errors import UsageError
from tinycompile.search.cluster import Cluster, Dask, Files, Ray, executed, opened, packed
from tinycompile.search.pool import Pool
from tinycompile.search.settings import Search
from tinycompile.search.tasks import AnyTask, Bench, Done, Result, Task

CONFIG: dict[str, Any] = {"width": 2, "deep": 1, "kernel": 1, "kind": "plain"}


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return search_in(tmp_path)


class Here(Cluster):
    """A cluster of this process."""

    def close(self) -> None:
        pass

    def results(self, files: Files, tasks: Sequence[AnyTask]) -> Iterator[tuple[Done, Files]]:
        for task in reversed(tasks):
            yield executed(self._setup, files, task)


def test_a_worker_elsewhere_finds_what_one_here_finds(search: Search, tmp_path: Path) -> None:
    """It reads nothing but what it is sent."""
    setup = search.setup
    local = Bench.of(setup).run(Task(1, CONFIG, 0.0))
    files = packed(setup)
    for path in (tmp_path / "space.py", tmp_path / "trainer.py", tmp_path / "data.npz"):
        path.unlink()
    found, written = executed(setup, files, Task(1, CONFIG, 0.0))
    assert found == local
    assert list(written) == ["trials/00001.json"]
    again, _ = executed(setup, files, Task(1, CONFIG, 0.0))
    assert again == local


def test_files_are_there_when_a_result_is(search: Search) -> None:
    (search.output / "supernet").mkdir(parents=True)
    (search.output / "supernet" / "0.npz").write_bytes(b"weights")
    (search.output / "supernet" / "0.31.npz").write_bytes(b"half")
    assert sorted(packed(search.setup)) == ["data.npz", "space.py", "supernet/0.npz", "trainer.py"]
    with Here(search.setup) as cluster:
        for found in cluster.run([Task(number, CONFIG, 0.0) for number in range(3)]):
            assert Result.read(search.output, found.number) == found
        assert not list(cluster.run([]))
    assert len(list((search.output / "trials").iterdir())) == 3


def test_engines_by_name(search: Search) -> None:
    with opened(None, search.setup, 1) as pool:
        assert isinstance(pool, Pool)
    for wrong in ("spark://host", "dask"):
        with pytest.raises(UsageError, match="is unknown"):
            opened(wrong, search.setup, 1)


def test_an_engine_that_is_missing(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("tinycompile.search.cluster.importlib.import_module", missing)
    for engine, kind in (("dask", Dask), ("ray", Ray)):
        with pytest.raises(UsageError, match=f"--engine {engine}:// needs"):
            kind(search.setup, "", 1)


def test_a_search_may_go_on_with_another_engine(search: Search) -> None:
    for each in (search, replace(search, engine="dask://", workers=3)):
        with each.begun():
            pass
