"""Two devices that see different digits, and a server, learn one model: `python federated.py [--on qemu]`.

One device sees 0 to 4, the other one 5 to 9, both by a camera that is turned by 35 degrees and loses contrast. Each
learns from its own images by generated C, sends the largest hundredth of what it learned, and gets the average back.
Devices are this machine's, or with --on qemu the firmware: the bits are the same. Between two rounds such a device is
switched off: it goes on from its checkpoint and from what it remembers of its messages.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

import tinycompile
from tinycompile.build import Build
from tinycompile.learning.device import Command, Kind, device_of
from tinycompile.learning.train import parameters_of
from tinycompile.training.federated import Server

DIGITS = Path(__file__).resolve().parents[1] / "digits"
KNOWN = 262
"""Images to learn from, of 382 which the model hasn't seen yet; the others measure."""

STEPS = 20
"""That a device learns between two messages."""


def turned_digits(angle: float = 35, contrast: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """(images (n, 8, 8, 1) from 0 to 1, turned by so many degrees, classes)."""
    file = np.load(DIGITS / "digits_calib.npz")
    order = np.random.default_rng(0).permutation(len(file["x"]))
    images, labels = file["x"][order, ..., 0], file["y"][order]
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    y, x = np.mgrid[:8, :8] - 3.5
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    rows, columns = cosine * y - sine * x + 5.5, sine * y + cosine * x + 5.5
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    turned = np.zeros(images.shape)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):  # the four pixels around each place
        share = (down if i else 1 - down) * (right if j else 1 - right)
        turned += share * padded[:, top + i, left + j]
    return contrast * turned[..., None], labels


class Client:
    """A device with its own images: integers, as the model takes them."""

    def __init__(self, build: Build, on: str, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        self.build = Build(build.folder)  # with a memory of its own
        self.device, self.images, self.labels = device_of(self.build, on), images, labels
        self.rng = np.random.default_rng(seed)

    def steps(self, count: int) -> list[Command]:
        """Of learning from its images."""
        chosen = self.rng.integers(0, len(self.images), count)
        return [Command(Kind.TRAIN, [self.images[i]], np.array([self.labels[i]], np.int32)) for i in chosen]

    def learn(self, steps: int) -> None:
        self.device.execute(self.steps(steps))

    def begin(self) -> None:
        """The parameters are those that all devices have."""
        self.device.execute([Command(Kind.BEGIN_GRADIENT)])

    def message(self, answer: bytes | None, steps: int) -> bytes:
        """Takes the server's answer to the last message, learns, and says what."""
        taken = [] if answer is None else [Command(Kind.APPLY_GRADIENT, message=answer)]
        return self.device.execute([*taken, *self.steps(steps), Command(Kind.EXPORT_GRADIENT)])[-1].message

    def take(self, answer: bytes) -> None:
        self.device.execute([Command(Kind.APPLY_GRADIENT, message=answer)])

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        answers = self.device.execute([Command(Kind.PREDICT, [image]) for image in images])
        return 100 * float(np.mean([int(np.argmax(a.outputs[0])) for a in answers] == labels))

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        return parameters_of(self.build, self.device)


def server_of(build: Build) -> Server:
    """For messages of this model: its report says what they are about."""
    training = build.report["training"]
    counts = [prod(parameter["shape"]) for parameter in training["parameters"]]
    return Server(counts, int(training["checkpoint"][:8], 16))


def federated(server: Server, clients: Sequence[Client], rounds: int, steps: int = STEPS) -> list[int]:
    """Bytes of each client's messages, on average, by round."""
    sizes, answer = list[int](), None
    for client in clients:
        client.begin()
    for _ in range(rounds):
        messages = [client.message(answer, steps) for client in clients]
        answer = server.aggregate(messages)
        sizes.append(sum(map(len, messages)) // len(messages))
    for client in clients if answer is not None else ():
        client.take(answer)
    return sizes


def built(folder: Path, target: str, train: str, export: str, rate: float) -> Build:
    return tinycompile.compile(
        DIGITS / "digits_int8.tflite",
        target=target,
        output=folder / "digits",
        train=train,
        export_gradient=export,
        learning_rate=rate,
    )


def pixels(build: Build, images: np.ndarray) -> np.ndarray:
    """As the model takes them."""
    t = build.inputs[0]
    return np.clip(np.rint(images / t.scale) + t.zero_point, *t.dtype.range).astype(t.dtype.carrier)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", choices=("host", "qemu"), default="host")
    parser.add_argument("--target", default="mps2-an386")
    parser.add_argument("--train", default="all")
    parser.add_argument("--export-gradient", default="topk=1%,momentum=0.5")
    parser.add_argument("--rounds", type=int, default=160)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="federated-") as folder:
        build = built(Path(folder), given.target, given.train, given.export_gradient, given.learning_rate)
        compare(build, given.on, given.rounds)


def compare(build: Build, on: str, rounds: int) -> None:
    """Devices alone, one with all digits, two with a server."""
    images, labels = turned_digits()
    images = pixels(build, images)
    known, (test, expected) = slice(0, KNOWN), (images[KNOWN:], labels[KNOWN:])
    halves, steps = [np.flatnonzero((labels[known] >= 5) == high) for high in (False, True)], STEPS * rounds
    print(f"before: {Client(build, on, images, labels, 0).accuracy(test, expected):.1f} % of turned digits")
    for number, half in enumerate(halves):
        alone = Client(build, on, images[half], labels[half], number)
        alone.learn(steps)
        print(f"device {number} alone, {steps} steps: {alone.accuracy(test, expected):.1f} %")
    one = Client(build, on, images[known], labels[known], 9)
    one.learn(2 * steps)
    print(f"one device with all digits, {2 * steps} steps: {one.accuracy(test, expected):.1f} %")
    clients = [Client(build, on, images[half], labels[half], number) for number, half in enumerate(halves)]
    sizes = federated(server_of(build), clients, rounds)
    for number, client in enumerate(clients):
        print(f"device {number} with the server: {client.accuracy(test, expected):.1f} %")
    found = [client.parameters for client in clients]
    shared = all(np.array_equal(found[0][name], found[1][name]) for name in found[0])
    print(f"their parameters are {'equal, bit for bit' if shared else 'different'}")
    whole = build.report["training"]["parameter_bytes"]
    print(f"messages: {sizes[0]:,} bytes in the first round, {sizes[-1]:,} in the last; all parameters are {whole:,}")


if __name__ == "__main__":
    main()
