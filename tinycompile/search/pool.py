"""Workers: processes that take a task at a time. One that dies is replaced, and its task given to another."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from tinycompile.errors import ToolFailedError
from tinycompile.search.tasks import AnyTask, Bench, Done, Setup

ATTEMPTS = 3
"""Workers that may die of a task."""


class _Worker:
    """A process and the way to it."""

    def __init__(self, setup: Setup) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, setup), daemon=True)
        self.process.start()
        theirs.close()
        self.task: AnyTask | None = None

    def give(self, task: AnyTask) -> None:
        """That one which died while it waited doesn't take it is seen where its result is waited for."""
        self.task = task
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(task)

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


def _serve(connection: Connection, setup: Setup) -> None:
    """Until there are no more tasks, or nobody is there."""
    try:
        bench = Bench.of(setup)
        while True:
            connection.send(bench.run(connection.recv()))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return
    except Exception as error:  # the driver raises it
        with suppress(ConnectionError):  # unless it was killed meanwhile
            connection.send(error)


class Pool:
    """So many workers, as a context.

    Args:
        setup: of all tasks.
    """

    def __init__(self, setup: Setup, workers: int) -> None:
        self._setup, self._count = setup, workers
        self._workers = list[_Worker]()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    @property
    def processes(self) -> list[int]:
        """Their ids."""
        return [worker.process.pid or 0 for worker in self._workers]

    def run(self, tasks: Sequence[AnyTask]) -> Iterator[Done]:
        """Results, in the order in which they are finished.

        Raises:
            ToolFailedError: a task kills every worker. Others that a task raised.
        """
        left, attempts = list(reversed(tasks)), dict[int, int]()
        waiting = len(left)
        while waiting:
            while len(self._workers) < min(self._count, waiting):
                self._workers.append(_Worker(self._setup))
            for worker in self._workers:
                if worker.task is None and left:
                    worker.give(left.pop())
            busy: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers if worker.task}
            for connection in wait(list(busy)):
                worker = busy[connection]
                found = _received(worker)
                if found is None:
                    left.append(self._lost(worker, attempts))
                    continue
                worker.task = None
                waiting -= 1
                yield found

    def _lost(self, worker: _Worker, attempts: dict[int, int]) -> AnyTask:
        """The task of a worker that died."""
        task = worker.task
        if task is None:
            raise AssertionError("only workers with tasks are waited for")
        worker.stop()
        self._workers.remove(worker)
        attempts[task.number] = attempts.get(task.number, 0) + 1
        if attempts[task.number] == ATTEMPTS:
            raise ToolFailedError(
                f"candidate {task.number} killed {ATTEMPTS} workers (the last with code {worker.process.exitcode})",
                hint="fewer --workers if memory is short; its configuration: "
                + " ".join(f"{name}={value}" for name, value in task.config.items()),
            )
        return task


def _received(worker: _Worker) -> Done | None:
    """None where the worker died. Raises what its task raised."""
    try:
        found: Any = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        return None
    if isinstance(found, Exception):
        raise found
    return found
