"""`--on serial`: a board's console firmware asked over a line that damages frames, and what users are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tinycompile
from tests.conftest import DIGITS
from tests.support.serial_board import bad_cable, emulated
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.serial_link.frames import Frame, Receiver, decoded, stuffed, unstuffed
from tinycompile.toolchain import make

SAMPLES = DIGITS / "digits_samples.npz"


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"a", b"a\0", b"\0a", bytes(range(246)), bytes(246), b"x" * 246])
def test_stuffed_bytes_have_no_zeros_and_come_back(data: bytes) -> None:
    assert 0 not in stuffed(data)
    assert unstuffed(stuffed(data)) == data


def test_a_changed_frame_is_none() -> None:
    frame = Frame(7, 5, bytes(range(64)))
    wire = frame.encoded()[1:-1]
    assert decoded(wire) == frame
    for i in range(len(wire)):
        assert decoded(wire[:i] + bytes([wire[i] ^ 4]) + wire[i + 1 :]) is None
        assert decoded(wire[:i]) is None


def test_a_receiver_finds_its_place_again() -> None:
    first, second = Frame(1, 3, b"abc"), Frame(2, 4)
    wire = b"text\r\n" + first.encoded()[:-3] + second.encoded() + first.encoded()
    receiver = Receiver()
    found = [frame for i in range(len(wire)) for frame in receiver.feed(wire[i : i + 1])]
    assert found == [None, None, second, first]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("serial") / "out"
    found = tinycompile.compile(DIGITS / "digits_int8.tflite", target="mps2-an386", output=folder)
    make(folder, "console")
    return found


@pytest.fixture(scope="module")
def port(build: Build) -> Iterator[Path]:
    with emulated(build.folder / "firmware_console.elf", build.board) as found:
        yield found


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_verify_over_a_line_that_damages_one_frame_in_twenty(build: Build, port: Path) -> None:
    with bad_cable(port, 0.05, seed=1) as (cable, counts):
        result = invoke("verify", build.folder, "--on", "serial", "--port", cable, "--samples", SAMPLES, "--limit", "8")
    assert result.exit_code == 0, result.output
    whole, damaged = counts
    assert damaged > 0.03 * whole > 1
    assert result.output.startswith("bit-exact: 8 samples")
    assert f"on mps2-an386 on {cable}: " in result.output and " 0 of them again" not in result.output
    certificate = json.loads((build.folder / "certificate.json").read_text())
    assert certificate["executed_in"] == f"mps2-an386 on {cable}" and certificate["differences"] == 0
    assert certificate["tensors"] > len(build.report["layers"])
