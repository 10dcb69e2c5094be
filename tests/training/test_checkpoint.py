"""Checkpoints of trained parameters: whole or not at all, wherever power fails."""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.training.networks import RandomNetwork
from tinycompile.codegen.program import Program
from tinycompile.codegen.training import training_memory
from tinycompile.errors import ToolFailedError
from tinycompile.host import HostModel
from tinycompile.host_trainer import HostTrainer
from tinycompile.training.accumulation import accumulating
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import TrainingStep, training_step

HEADER = struct.Struct("<II16sIII")


@dataclass
class Device:
    """A model that learns, with two slots for its checkpoints."""

    program: Program
    host: HostModel

    def learn(self) -> bytes:
        """The parameters after another step."""
        sample = np.random.default_rng(0).integers(-128, 128, self.program.inputs[0].type.shape).astype(np.int8)
        self.host.train(1, [sample])
        return self.parameters()

    def parameters(self) -> bytes:
        training = self.program.training
        assert training is not None
        states = [s.tensor for s in self.program.states if s.tensor.name not in ("learning_rate", "label", "loss")]
        return b"".join(self.host.state(t.offset, t.type).tobytes() for t in states)

    def started(self, slots: list[bytearray]) -> int:
        """What checkpoint it finds when power is back; 0 for none."""
        self.host.restart()
        assert self.host.load(slots) == (self.host.checkpoint_number != 0)
        return self.host.checkpoint_number


def learning_step(scheme: str) -> TrainingStep:
    graph = RandomNetwork(1).chain(["convolution", "average", "average"])
    return training_step(graph, read_scheme(scheme, graph))


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    sanitized = "-O1", "-fsanitize=undefined"
    learner = HostTrainer(learning_step("head"), sanitized, tmp_path_factory.mktemp("learner"))
    yield Device(learner.program, learner.host)


@pytest.fixture
def device(learner: Device) -> Device:
    learner.host.restart()
    return learner


def empty(device: Device) -> list[bytearray]:
    """Erased flash."""
    return [bytearray(b"\xff" * device.host.checkpoint_bytes) for _ in range(2)]


def seal(slot: bytearray) -> None:
    """Gives a slot the CRC of what is in it."""
    parameters = slot[HEADER.size : HEADER.size + HEADER.unpack_from(slot)[3]]
    struct.pack_into("<I", slot, HEADER.size - 4, zlib.crc32(parameters, zlib.crc32(slot[: HEADER.size - 4])))


def test_format(device: Device) -> None:
    slots = empty(device)
    assert device.started(slots) == 0
    parameters = device.learn()
    device.host.save(slots)
    magic, version, _, size, number, crc = HEADER.unpack_from(slots[0])
    assert (magic, version, size, number) == (0x4B434354, 1, len(parameters), 1)
    assert slots[0][HEADER.size : HEADER.size + size] == parameters
    assert crc == zlib.crc32(parameters, zlib.crc32(slots[0][: HEADER.size - 4]))
    assert device.host.checkpoint_bytes % 64 == 0
    assert set(slots[1]) == {0xFF}
    device.learn()
    device.host.save(slots)
    assert HEADER.unpack_from(slots[1])[4] == device.host.checkpoint_number == 2


@pytest.mark.parametrize("saved", [0, 1, 2, 3])
def test_power_fails_at_every_byte(device: Device, saved: int) -> None:
    """With no, one and two older checkpoints, one of them in a slot that is overwritten."""
    slots = empty(device)
    assert device.started(slots) == 0
    factory = before = device.parameters()
    for _ in range(saved):
        before = device.learn()
        device.host.save(slots)
    device.learn()
    seen, after = set[int](), b""
    for power in range(device.host.checkpoint_bytes + 1):
        torn = [bytearray(slot) for slot in slots]
        assert device.started(torn) == saved
        after = device.learn()
        if power < device.host.checkpoint_bytes:
            with pytest.raises(ToolFailedError, match="save returned 12"):
                device.host.save(torn, power)
        else:
            device.host.save(torn)
        number = device.started(torn)
        seen.add(number)
        assert number in (saved, saved + 1)
        assert device.parameters() == (after if number > saved else before)
    assert seen == {saved, saved + 1}
    assert factory != after


def test_damage_falls_back_to_the_older_one(device: Device) -> None:
    slots = empty(device)
    device.started(slots)
    for _ in range(2):
        device.learn()
        device.host.save(slots)
    used = HEADER.size + HEADER.unpack_from(slots[1])[3]
    for byte in range(0, used, 3):
        damaged = [slots[0], bytearray(slots[1])]
        damaged[1][byte] ^= 1
        assert device.started(damaged) == 1
    slots[0][0] ^= 1
    assert device.started([slots[0], bytearray(slots[1][:-64])]) == 0  # a slot that can't be read to its end


def test_numbers_wrap_around(device: Device) -> None:
    """After 2^32 checkpoints the newer one has the smaller number."""
    slots = empty(device)
    device.started(slots)
    device.learn()
    device.host.save(slots)
    for slot, number in zip(slots, (0xFFFFFFFF, 0), strict=True):
        slot[:] = slots[0]
        struct.pack_into("<I", slot, HEADER.size - 8, number)
        seal(slot)
    device.host.restart()
    assert device.host.load(slots)
    device.host.save(slots)
    assert HEADER.unpack_from(slots[0])[4] == 1


def test_a_failed_save_is_repeated(device: Device) -> None:
    slots = empty(device)
    device.started(slots)
    device.learn()
    device.host.save(slots)
    after = device.learn()
    with pytest.raises(ToolFailedError, match="save returned 12"):
        device.host.save(slots, power=10)
    assert device.host.checkpoint_number == 1
    device.host.save(slots)
    assert device.started(slots) == 2
    assert device.parameters() == after


def test_what_was_there_is_looked_for_before_saving(device: Device) -> None:
    with pytest.raises(ToolFailedError, match="save returned 11"):
        device.host.save(empty(device))


def test_without_a_checkpoint_the_factory_parameters_are_back(device: Device) -> None:
    factory = device.parameters()
    assert device.learn() != factory
    assert not device.host.load(empty(device))
    assert device.parameters() == factory


def test_checkpoints_of_other_models(device: Device) -> None:
    """By their file, by what is trained and by what it begins with; not by board and plan, nor by accumulators."""
    training = device.program.training
    assert training is not None
    for step in (learning_step("head"), accumulating(learning_step("head"))):
        unplanned = training_memory(step.graph, defaultdict(int))
        assert unplanned is not None and unplanned.identity == training.identity
    other = training_memory(learning_step("biases").graph, defaultdict(int))
    assert other is not None and other.identity != training.identity
    words = training.checkpoint_words("0" * 64)
    assert words != training.checkpoint_words("1" * 64)
    slots = empty(device)
    device.started(slots)
    device.host.save(slots)
    assert HEADER.unpack_from(slots[0])[2] == struct.pack("<4I", *words)
    slots[0][8] ^= 1
    seal(slots[0])
    assert device.started(slots) == 0
