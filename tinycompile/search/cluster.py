"""Trainings on other machines: a task is a function from files to files, which Dask or Ray executes.

A worker is sent what a task reads (the space, the samples, supernets) and returns what it wrote, so that it needs
tinycompile and no folder that it shares with the driver. What is found is that of local workers: a task depends on
its number and its files alone.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinycompile.errors import ToolFailedError, UsageError
from tinycompile.search.pool import ATTEMPTS, Pool
from tinycompile.search.tasks import AnyTask, Bench, Done, Setup, Shared
from tinycompile.temporary import TemporaryFolder

Files = Mapping[str, bytes]
"""By their place in a worker's folder."""
PATIENCE = 60
"""Seconds after which it is asked whether a cluster has workers."""
_SPACE, _DATA, _TRAINER = "space.py", "data.npz", "trainer.py"


@dataclass(frozen=True)
class _Ready:
    """A worker's bench, in a folder that lives as long as it."""

    bench: Bench
    folder: tempfile.TemporaryDirectory[str]


_ready: dict[str, _Ready] = {}
"""Of this process, by a digest of setup and files; one search's."""


def packed(setup: Setup) -> dict[str, bytes]:
    """What tasks read: the user's files, and supernets that are trained."""
    found = {_DATA: Path(setup.data).read_bytes()}
    if Path(setup.space).is_file():
        found[_SPACE] = Path(setup.space).read_bytes()
    if setup.trainer is not None:
        found[_TRAINER] = Path(setup.trainer).read_bytes()
    folder = Path(setup.folder)
    for path in sorted(Shared.path(folder, None).parent.glob("*.npz")):
        if "." not in path.stem:  # else a killed worker's
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def executed(setup: Setup, files: Files, task: AnyTask) -> tuple[Done, dict[str, bytes]]:
    """On a worker: what a task returns, and the files that it writes."""
    digest = hashlib.sha256(repr((setup, [(name, hashlib.sha256(files[name]).digest()) for name in files])).encode())
    key = digest.hexdigest()
    if key not in _ready:
        _ready.clear()
        _ready[key] = _unpacked(setup, files)
    folder = Path(_ready[key].folder.name)
    before = {path for path in folder.rglob("*") if path.is_file()}
    done = _ready[key].bench.run(task)
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    found = {str(path.relative_to(folder)): path.read_bytes() for path in written}
    for path in written:
        path.unlink()  # the same task may come again
    return done, found


def _unpacked(setup: Setup, files: Files) -> _Ready:
    folder = TemporaryFolder("search")
    for name, content in files.items():
        path = Path(folder.name) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def here(name: str, given: str | None) -> str | None:
        return str(Path(folder.name) / name) if name in files else given

    space, trainer = here(_SPACE, setup.space), here(_TRAINER, setup.trainer)
    own = replace(setup, space=space or setup.space, trainer=trainer, folder=folder.name)
    return _Ready(Bench.of(replace(own, data=str(Path(folder.name) / _DATA))), folder)


class Cluster(ABC):
    """An engine, as a context.

    Args:
        setup: of all tasks.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Leave the cluster; end one of our own."""

    @abstractmethod
    def results(self, files: Files, tasks: Sequence[AnyTask]) -> Iterator[tuple[Done, Files]]:
        """What `executed` returned, in any order. Raises ToolFailedError: a task ended every worker that had it."""

    def run(self, tasks: Sequence[AnyTask]) -> Iterator[Done]:
        """As `Pool.run`: the files are there when a result is."""
        if not tasks:
            return
        for done, written in self.results(packed(self._setup), tasks):
            for name, content in written.items():
                path = Path(self._setup.folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(f".{path.name}")
                temporary.write_bytes(content)
                temporary.replace(path)
            yield done


def _lost(engine: str, task: AnyTask, error: BaseException) -> ToolFailedError:
    return ToolFailedError(
        f"candidate {task.number} ended {ATTEMPTS} of {engine}'s workers ({type(error).__name__})",
        hint="workers with more memory; its configuration: "
        + " ".join(f"{name}={value}" for name, value in task.config.items()),
    )


def _module(name: str, engine: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--engine {engine}:// needs {name}", hint="pip install 'tinycompile[cluster]'") from error


class Dask(Cluster):
    """Args: address: of a scheduler, host:port; "" for a cluster on this machine with so many workers."""

    def __init__(self, setup: Setup, address: str, workers: int) -> None:
        super().__init__(setup)
        self._distributed = _module("distributed", "dask")
        _module("dask", "dask").config.set({"distributed.scheduler.allowed-failures": ATTEMPTS - 1})
        self._own: Any = None
        if not address:
            self._own = self._distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
            )
        try:
            self._client: Any = self._distributed.Client(self._own or address)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(f"no Dask scheduler at {address}: {error}", hint="dask://host:8786") from error

    def close(self) -> None:
        self._client.close()
        if self._own is not None:
            self._own.close()

    def results(self, files: Files, tasks: Sequence[AnyTask]) -> Iterator[tuple[Done, Files]]:
        sent = self._client.submit(dict, files, pure=False)  # what is scattered is lost with the worker that has it
        futures = {self._client.submit(executed, self._setup, sent, task, pure=False): task for task in tasks}
        waiting = set(futures)
        while waiting:
            finished = self._finished(waiting)
            waiting -= finished
            for future in finished:
                try:
                    found = future.result()
                except (self._distributed.KilledWorker, CancelledError) as error:
                    raise _lost("Dask", futures[future], error) from error
                yield found

    def _finished(self, waiting: set[Any]) -> set[Any]:
        """Those that are; none after a while. Raises ToolFailedError: there is nobody to wait for."""
        try:
            return self._distributed.wait(waiting, PATIENCE, "FIRST_COMPLETED").done
        except TimeoutError as error:
            if not self._client.nthreads():
                raise ToolFailedError(
                    "the Dask cluster has no workers left", hint="start workers, and give the same command again"
                ) from error
            return set()
        except CancelledError:
            return {future for future in waiting if future.cancelled()}


class Ray(Cluster):
    """Args: address: host:port of a cluster's client server; "" for a cluster on this machine with so many workers."""

    def __init__(self, setup: Setup, address: str, workers: int) -> None:
        super().__init__(setup)
        self._ray = _module("ray", "ray")
        where = {"address": f"ray://{address}"} if address else {"num_cpus": workers, "include_dashboard": False}
        try:
            self._ray.init(logging_level="error", log_to_driver=False, **where)
        except Exception as error:  # Ray's own are of no class of theirs
            raise UsageError(
                f"no Ray cluster at {address or 'this machine'}: {error}", hint="ray://host:10001"
            ) from error
        self._execute: Any = self._ray.remote(max_retries=ATTEMPTS - 1, num_cpus=1)(executed)

    def close(self) -> None:
        self._ray.shutdown()

    def results(self, files: Files, tasks: Sequence[AnyTask]) -> Iterator[tuple[Done, Files]]:
        sent = self._ray.put(dict(files))
        waiting = {self._execute.remote(self._setup, sent, task): task for task in tasks}
        while waiting:
            ready, _ = self._ray.wait(list(waiting), num_returns=1)
            task = waiting.pop(ready[0])
            try:
                found = self._ray.get(ready[0])
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except self._ray.exceptions.RayError as error:
                raise _lost("Ray", task, error) from error
            yield found


def opened(engine: str | None, setup: Setup, workers: int) -> AbstractContextManager[Pool | Cluster]:
    """Who executes tasks: processes of this machine, or "dask://host:port", "ray://host:port".

    Raises:
        UsageError: another word, the engine isn't installed, or nobody is at the address.
    """
    if engine is None:
        return Pool(setup, workers)
    kind, separator, address = engine.partition("://")
    if not separator or kind not in ("dask", "ray"):
        raise UsageError(f"--engine {engine!r} is unknown", hint="dask://host:8786 or ray://host:10001")
    return Dask(setup, address, workers) if kind == "dask" else Ray(setup, address, workers)
