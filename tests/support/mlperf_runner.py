"""A scripted runner of MLPerf Tiny's serial protocol, by what mlcommons/tiny says of it: commands end with `%`, answers
with the line `m-ready`; inputs come as hexadecimal digits, 31 bytes a command."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinycompile.monitor import opened

BYTES_PER_COMMAND = 31


@dataclass(frozen=True)
class Inference:
    """Attributes:
    results: as text. laps: microseconds of the two timestamps; empty in energy mode.
    """

    results: list[str]
    laps: list[int]


class Runner:
    """What talks to the device."""

    def __init__(self, descriptor: int, timeout: float = 60) -> None:
        self._descriptor, self._timeout, self._pending = descriptor, timeout, b""

    def command(self, text: str) -> list[str]:
        """The lines of an answer, without the last one."""
        os.write(self._descriptor, f"{text}%".encode())
        lines = list[str]()
        while (line := self._line()) != "m-ready":
            lines.append(line)
        return lines

    def _line(self) -> str:
        deadline = time.monotonic() + self._timeout
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self._descriptor], [], [], left)[0], "no answer"
            self._pending += os.read(self._descriptor, 4096)
        line, self._pending = self._pending.split(b"\n", 1)
        return line.decode().strip("\r\n\0")

    def wait_for_it(self) -> None:
        """Until it answers the newest of numbered calls: what is sent before it listens is lost, as may be what it
        says at its start, and on a busy machine answers to earlier calls come late."""
        heard = b""
        for number in range(100):
            os.write(self._descriptor, f"call{number}%".encode())
            while select.select([self._descriptor], [], [], 0.3 + 0.02 * number)[0]:
                heard += os.read(self._descriptor, 4096)
                if heard.endswith(f"e-[Unknown command: call{number}]\r\nm-ready\r\n".encode()):
                    return
        raise AssertionError("no answer")

    def load(self, data: bytes) -> None:
        assert self.command(f"db load {len(data)}") == [f"m-[Expecting {len(data)} bytes]"]
        said = list[str]()
        for at in range(0, len(data), BYTES_PER_COMMAND):
            assert not said, said
            said = self.command(f"db {data[at : at + BYTES_PER_COMMAND].hex()}")
        assert said == ["m-load-done"], said

    def infer(self, count: int, warmups: int) -> Inference:
        """In the order in which the runner wants the messages."""
        lines = self.command(f"infer {count} {warmups}")
        laps = [int(found[1]) for line in lines if (found := re.fullmatch(r"m-lap-us-(\d+)", line))]
        rest = [line for line in lines if not line.startswith("m-lap-us-")]
        begin = [f"m-warmup-start-{warmups}", "m-warmup-done", f"m-infer-start-{count}", "m-infer-done"]
        assert rest[:-1] == begin, lines
        found = re.fullmatch(r"m-results-\[([^]]+)\]", rest[-1])
        assert found, lines
        return Inference(found[1].split(","), laps)


@contextmanager
def runner_on(port: Path, baud: int = 115_200) -> Iterator[Runner]:
    with opened(port, baud) as descriptor:
        runner = Runner(descriptor)
        runner.wait_for_it()
        yield runner
