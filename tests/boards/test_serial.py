"""`--on serial`: a board's console firmware asked over a line that damages frames, and what users are told."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import struct
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tinycompile.serial_link.console as console_module
from tests.conftest import DIGITS
from tests.support.serial_board import Machine, bad_cable, launched
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import DeviceError
from tinycompile.monitor import opened
from tinycompile.profile import pattern
from tinycompile.serial_link.console import Action, Area, Console, Event, Place, console_of
from tinycompile.serial_link.frames import Frame, Receiver, decoded, stuffed, unstuffed
from tinycompile.serial_link.link import Kind, Link
from tinycompile.trace import TracePart

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
def build(talking_build: Build) -> Build:
    return talking_build


@pytest.fixture(scope="module")
def compiled_once(build: Build) -> Iterator[None]:
    """The generated C for this machine, of all commands on this build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Build, "host", build.host)
        yield


@pytest.fixture(scope="module")
def machine(build: Build, compiled_once: None) -> Iterator[Machine]:
    with launched(build.folder / "firmware_console.elf", build.board) as found:
        yield found


@pytest.fixture
def port(machine: Machine) -> Iterator[Path]:
    with machine.awake() as found:
        yield found


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_verify_over_a_line_that_damages_one_frame_in_twenty(build: Build, port: Path) -> None:
    with bad_cable(port, 0.05, seed=1) as (cable, counts):
        result = invoke("verify", build.folder, "--on", "serial", "--port", cable, "--samples", SAMPLES, "--limit", "6")
    assert result.exit_code == 0, result.output
    whole, damaged = counts
    assert damaged > 0.03 * whole > 1
    assert result.output.startswith("bit-exact: 6 samples")
    assert f"on mps2-an386 on {cable}: " in result.output and " 0 of them again" not in result.output
    certificate = json.loads((build.folder / "certificate.json").read_text())
    assert certificate["executed_in"] == f"mps2-an386 on {cable}" and certificate["differences"] == 0
    assert certificate["tensors"] > len(build.report["layers"])


def test_what_this_machine_computes_otherwise_is_read_from_the_board(
    build: Build, port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of two layers that don't agree: their tensors come over the line, and are the same."""
    sums = console_module.sums_of

    def other(parts: list[TracePart], count: int) -> list[int]:
        return [total ^ (layer in (1, 3)) for layer, total in enumerate(sums(parts, count))]

    samples = build.samples(SAMPLES, 1)
    with console_of(build, Place(port)) as console:
        whole = console.execute(samples).trace[0]
        monkeypatch.setattr(console_module, "sums_of", other)
        before = console.link.sent
        read = console.execute(samples).trace[0]
        assert console.link.sent > before + 4
    assert [record.layer for record in read] == [record.layer for record in whole]
    for mine, theirs in zip(whole, read, strict=True):
        assert [part.data for part in mine.parts] == [part.data for part in theirs.parts]
    assert whole[1] is not read[1]


def test_profile_and_bench_say_what_the_counter_says(
    build: Build, port: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = build.report["layers"]
    row = {"cycles": {"cortex-m4": 10_000}, "waiting": None}
    profile = {
        "instructions": 150_000,
        "estimate": {"core": "cortex-m4", "total_cycles": {"low": 100_000, "high": 100_000}},
        "layers": [row] * len(layers),
    }
    monkeypatch.setattr("tinycompile.profile.board.profile_build", lambda *_: profile)
    monkeypatch.setattr("tinycompile.profile.profile_build", lambda *_: profile)
    monkeypatch.setattr("tinycompile.report.profile.print_profile", lambda *_: None)
    result = invoke("profile", build.folder, "--on", "serial", "--port", port)
    assert result.exit_code == 0, result.output
    head, *rows = result.output.splitlines()
    assert head.split() == ["layer", "measured", "estimate"]
    measured = [int(row.split()[-2].replace(",", "")) for row in rows[: len(layers)]]
    assert {row.split()[-1] for row in rows[: len(layers)]} == {"10,000"}
    # 40 ns of a tick are 1.25 of QEMU's instructions, of which a report of each layer takes a few.
    counted = [record.instructions / 1.25 for record in build.trace([pattern(t) for t in build.inputs]).trace[0]]
    assert measured == pytest.approx(counted, rel=0.02, abs=60)
    off = 100 * (Build(build.folder).report["measured"]["median_cycles"] / 100_000 - 1)
    assert f"estimate: 100,000 cycles; measured differs from that by {off:+.1f} %" in result.output
    assert "follows executed instructions" in result.output

    file = tmp_path / "calibration.json"
    for _ in range(2):  # the second time in the place of the first
        result = invoke("bench", build.folder, "--port", port, "--repeat", "3", "-o", file)
        assert result.exit_code == 0, result.output
    (entry,) = json.loads(file.read_text())["entries"]
    assert entry["measured_cycles"] == pytest.approx(sum(measured), rel=0.02)
    factor, rate = (entry["measured_cycles"] / entry[key] for key in ("estimated_cycles", "instructions"))
    result = invoke("profile", build.folder, "--calibrated-by", file)
    assert f"{factor:.3f} times the estimate, by 1 measured model on mps2-an386" in result.output
    model = DIGITS / "digits_int8.tflite"
    result = invoke("cost", model, "--target", "mps2-an386", "--calibrated-by", file)
    assert f"{rate:.3f} cycles per instruction with waiting" in result.output
    assert "the calibration is of mps2-an386" in invoke("cost", model, "--calibrated-by", file).output


def test_a_calibration_is_a_file_of_ours(build: Build, port: Path, tmp_path: Path) -> None:
    (file := tmp_path / "mine.json").write_text('{"by": "me"}')
    result = invoke("bench", build.folder, "--port", port, "-o", file)
    assert result.exit_code == 2 and "this is no calibration" in result.output
    assert file.read_text() == '{"by": "me"}'
    result = invoke("profile", build.folder, "--calibrated-by", tmp_path / "none.json")
    assert result.exit_code == 2 and "can't be read" in result.output


def verify_on(folder: Path, *arguments: str | Path) -> Result:
    return invoke("verify", folder, "--on", "serial", "--samples", SAMPLES, *arguments)


def test_what_users_are_told_of_ports(build: Build, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    missing = verify_on(build.folder, "--port", tmp_path / "ttyACM7")
    assert missing.exit_code == 2 and "no such file or directory" in missing.output and "try: " in missing.output
    assert "not a serial port\n  why: inappropriate" in verify_on(build.folder, "--port", tmp_path / "file").output
    assert "name the port itself" in verify_on(build.folder, "--port", tmp_path).output
    result = invoke("verify", build.folder, "--samples", SAMPLES, "--port", tmp_path / "file")
    assert result.exit_code == 2 and "add --on serial" in result.output


def test_a_port_that_this_user_may_not_open(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tinycompile.monitor.os.open", refused)
    result = verify_on(build.folder, "--port", "/dev/ttyACM0")
    assert result.exit_code == 2 and "permission denied" in result.output and "dialout" in result.output


def test_silence_is_explained(build: Build) -> None:
    board, port = pty.openpty()
    tty.setraw(board)
    with opened(Path(os.ttyname(port)), 115_200):
        taken = verify_on(build.folder, "--port", os.ttyname(port))
    assert taken.exit_code == 2
    assert "the serial port is in use" in taken.output or "resource busy" in taken.output  # root, and others
    result = verify_on(build.folder, "--port", os.ttyname(port), "--timeout", "0.2")
    os.close(board)
    assert result.exit_code == 2
    assert "nothing was heard from the board" in result.output and "`tinycompile flash`" in result.output
    assert "115200 baud" in result.output


@pytest.mark.parametrize("said", [b"hello world\r\n" * 100, b"hello\0" * 200])
def test_a_board_that_never_stops_talking_is_given_up(said: bytes, tmp_path: Path) -> None:
    """Faster than anybody reads: another firmware, or another rate."""

    class Talking(Link):
        def _read(self) -> bytes:
            return said

    port = tmp_path / "file"
    with port.open("wb+") as file:
        link = Talking(file.fileno(), port, 115_200, silence=0.02)
        with pytest.raises(DeviceError, match="bytes came, but no frame"):
            link.hello()
    receiver = Receiver()
    assert [frame for _ in range(99) for frame in receiver.feed(said)].count(None) == 99 * said.count(b"\0")
    assert receiver.feed(b"\0" + Frame(1, 3).encoded())[-1] == Frame(1, 3)


def test_an_unplugged_board_is_no_traceback(build: Build) -> None:
    """It goes away when it has read something, so that the port was open before, however busy this machine is."""
    board, port = pty.openpty()
    tty.setraw(board)
    name = os.ttyname(port)

    def hear_and_go() -> None:
        os.read(board, 1)
        os.close(board)

    goer = threading.Thread(target=hear_and_go, daemon=True)
    goer.start()
    result = verify_on(build.folder, "--port", name)
    goer.join()
    os.close(port)
    assert result.exit_code == 2 and "the board was unplugged" in result.output


def test_another_builds_firmware_is_found_out(build: Build, port: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(build.folder, other)
    source = other / "firmware" / "main_console.c"
    text = source.read_text()
    source.write_text(re.sub(r"(build_id\[8\] = \{)[^,]*", r"\g<1>0x00", text))
    result = verify_on(other, "--port", port)
    assert result.exit_code == 2
    assert "another firmware than this build's" in result.output and "digits_int8 for mps2-an386" in result.output
    source.write_text("/* of an older tinycompile */")
    assert "build the model again" in verify_on(other, "--port", port).output


def test_what_a_board_refuses_or_fails_at_is_said(build: Build, port: Path) -> None:
    with console_of(build, Place(port)) as console:
        with pytest.raises(DeviceError, match="the board refuses a request"):
            console.read(Area.STATES, 4)
        with pytest.raises(DeviceError, match="the board refuses a request"):
            console.write(Area.OUTPUTS, bytes(1000))
        with pytest.raises(
            DeviceError, match=r"PREDICT failed on the board\n  why: its status is 1, as digits_int8\.h"
        ):
            console.do(Action.PREDICT)
        assert console.do(Action.RESET).status == 0


def test_a_program_that_was_stopped_leaves_a_board_that_answers(build: Build, port: Path) -> None:
    """In the midst of an inference that shows every layer."""
    samples = build.samples(SAMPLES, 1)
    with opened(port, 115_200) as descriptor:
        console = Console(build, Link(descriptor, port, 115_200), port)
        console.give([array[0] for array in samples])
        event = console.link.request(Kind.DO, struct.pack("<3I", Action.INVOKE, 0, 100))
        assert struct.unpack_from("<I", event)[0] == Event.RECORD
    with console_of(build, Place(port)) as console:
        found = console.execute(samples)
    np.testing.assert_array_equal(found.outputs[0], build.run(samples[0]).reshape(found.outputs[0].shape))
    result = invoke("monitor", build.folder, "--port", port, "--once", "--timeout", "20")
    assert result.exit_code == 0 and result.output.endswith("end\n")
