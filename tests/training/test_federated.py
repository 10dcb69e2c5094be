"""Messages of what was learned: C against the definition, bit for bit, and what a server makes of them."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sanitizers import UNOPTIMIZED
from tests.training.networks import RandomNetwork
from tinycompile.errors import ToolFailedError, UsageError
from tinycompile.host_trainer import HostTrainer
from tinycompile.training.federated import (
    Client,
    GradientExport,
    Message,
    MessageError,
    Server,
    Sparse,
    clipped,
    largest,
    read_export,
    rounded,
)
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import training_step

RNG = np.random.default_rng(7)
EXPORT = GradientExport(share=3000, bits=8, momentum=29491, limit=3, warm_up=2)


def test_c_sends_and_applies_what_is_defined(tmp_path):
    """Rounds with and without warm-up, clipped changes, a bias of one element, damaged messages."""
    network = RandomNetwork(4)
    graph = network.chain(["convolution"])
    step = training_step(graph, read_scheme("last:2, biases", graph), rate=0.05)
    learner = HostTrainer(
        step, (*UNOPTIMIZED, "-fsanitize=undefined", "-fno-sanitize-recover"), tmp_path, export=EXPORT
    )
    training = learner.program.training
    assert training is not None
    identity = training.checkpoint_words("0" * 64)[0]
    client, server = Client(EXPORT, identity), Server(training.counts, identity)
    learner.host.begin_gradient()
    client.begin(parameters(learner, step.parameters))
    sizes = list[int]()
    for number in range(4):
        for label in range(6):
            learner.train((label + number) % 5, RNG.integers(-128, 128, network.sample.shape).astype(np.int8))
        expected = client.message(parameters(learner, step.parameters)).pack()
        assert learner.host.export_gradient() == expected
        sizes.append(len(expected))
        same(learner, client, step.parameters)
        answer = server.aggregate([expected])
        for wrong in (answer[:-1], answer[:9] + bytes([answer[9] ^ 1]) + answer[10:], beyond(answer)):
            with pytest.raises(ToolFailedError, match="gradient_apply returned 10"):
                learner.host.apply_gradient(wrong)
        same(learner, client, step.parameters)
        learner.host.apply_gradient(answer)
        client.apply(Message.unpack(answer, training.counts))
        same(learner, client, step.parameters)
    assert sizes[0] > sizes[1] > sizes[2]
    assert max(sizes) <= EXPORT.largest_message(training.counts)


def parameters(learner: HostTrainer, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    states = learner.states
    return {name: states[name] for name in names}


def same(learner: HostTrainer, client: Client, names: tuple[str, ...]) -> None:
    found = parameters(learner, names)
    for name, values in client.restored(found).items():
        np.testing.assert_array_equal(found[name], values, name)


def beyond(answer: bytes) -> bytes:
    """With a tensor that has more values than elements."""
    body = answer[:16] + b"\xff\xff\x00\x00" + answer[20:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_nothing_is_lost():
    """What is sent and what is left is what was accumulated, without momentum."""
    export = GradientExport(share=6554, bits=8, momentum=0, limit=1 << 20, warm_up=0)
    client, start = Client(export, 1), {"w": np.zeros(500, np.int16), "b": np.zeros(7, np.int32)}
    client.begin(start)
    total = {name: np.zeros(values.size, np.int64) for name, values in start.items()}
    for _ in range(9):
        changes = {name: RNG.integers(-3000, 3000, v.size).astype(v.dtype) for name, v in start.items()}
        message = client.message(changes)
        for (name, own), tensor in zip(changes.items(), message.tensors, strict=True):
            total[name] += own - tensor.dense(own.size)
    for name, rest in total.items():
        np.testing.assert_array_equal(client.residual[name], rest)


def test_the_largest_are_sent():
    values = np.array([3, -9, 0, 9, 4, -4], np.int64)
    assert largest(values, 3).tolist() == [1, 3, 4]
    assert largest(values * 0, 3).tolist() == []
    assert rounded(np.array([1000, -1000, 8], np.int64), 8)[1] == 3
    change = np.full(64, 100, np.int64)
    assert clipped(change, 100) is change
    assert clipped(change * 3, 100).tolist() == [99] * 64


def test_messages_come_back():
    counts = [1000, 3, 1 << 15]
    tensors = [
        Sparse(np.array([0, 1, 700, 999]), np.array([-127, 127, 1, -1]), 4),
        Sparse(np.array([], np.intp), np.array([], np.int64), 0),
        Sparse(np.array([20000, 32767]), np.array([5, -6]), 22),
    ]
    packed = Message(9, 3, 8, tensors).pack()
    found = Message.unpack(packed, counts)
    assert (found.identity, found.number, found.bits) == (9, 3, 8)
    for count, own, again in zip(counts, tensors, found.tensors, strict=True):
        np.testing.assert_array_equal(own.dense(count), again.dense(count))
    for data, said in ((packed[:-5], "CRC"), (b"", "CRC"), (beyond(packed), "65535 values")):
        with pytest.raises(MessageError, match=said):
            Message.unpack(data, counts)
    with pytest.raises(MessageError, match="no message of gradients of this model"):
        Message.unpack(packed, counts[:2])


def test_a_server_averages_and_keeps_what_rounding_takes():
    one = Message(5, 0, 16, [Sparse(np.array([1, 4]), np.array([9, 30000]), 3)]).pack()
    two = Message(5, 0, 8, [Sparse(np.array([4]), np.array([-100]), 0)]).pack()
    server = Server([6], 5)
    total = np.zeros(6, np.int64)
    for _ in range(20):
        total += Message.unpack(server.aggregate([one, two]), [6]).tensors[0].dense(6)
    np.testing.assert_allclose(total, 20 * np.array([0, 36, 0, 0, 119950, 0]), atol=4)
    for messages, said in (([], "no client"), ([Message(6, 0, 8, [replace(Sparse(*EMPTY))]).pack()], "another model")):
        with pytest.raises(MessageError, match=said):
            server.aggregate(messages)


EMPTY = np.array([], np.intp), np.array([], np.int64), 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("topk=1%", GradientExport(655)),
        ("topk=0.25, bits=16, momentum=0.5, clip=2, warmup=0", GradientExport(16384, 16, 16384, 512, 0)),
    ],
)
def test_settings(text, expected):
    assert read_export(text) == expected


@pytest.mark.parametrize(
    "text", ["", "topk", "top=1%", "topk=0", "topk=x", "bits=8", "topk=1%,bits=4", "topk=1%,topk=2%"]
)
def test_settings_that_are_none(text):
    with pytest.raises(UsageError, match="--export-gradient"):
        read_export(text)
