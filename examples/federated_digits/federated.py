"""Two devices that see different digits, and a server, learn one model: `python federated.py`.

One device sees 0 to 4, the other one 5 to 9, both by a camera that is turned by 35 degrees and loses contrast. Each
learns from its own images on generated C, sends the largest hundredth of what it learned, and gets the average back.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinycompile.frontend import load
from tinycompile.host_trainer import HostTrainer
from tinycompile.passes import optimize
from tinycompile.training.federated import Server, read_export
from tinycompile.training.request import read_request, requested_step

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


class Device:
    """A client: its model, its images."""

    def __init__(self, trainer: HostTrainer, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        self.trainer, self.images, self.labels = trainer, images, labels
        self.rng = np.random.default_rng(seed)

    def learn(self, steps: int) -> None:
        for index in self.rng.integers(0, len(self.images), steps):
            self.trainer.train(int(self.labels[index]), self.images[index : index + 1])

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        found = [int(np.argmax(self.trainer.predict(image[None])[0])) for image in images]
        return 100 * float(np.mean(np.array(found) == labels))


def federated(devices: Sequence[Device], rounds: int) -> list[int]:
    """Bytes of each device's messages, on average, by round."""
    training = devices[0].trainer.program.training
    assert training is not None
    server = Server(training.counts, training.checkpoint_words("0" * 64)[0])
    for device in devices:
        device.trainer.host.begin_gradient()
    sizes = list[int]()
    for _ in range(rounds):
        messages = list[bytes]()
        for device in devices:
            device.learn(STEPS)
            messages.append(device.trainer.host.export_gradient())
        answer = server.aggregate(messages)
        for device in devices:
            device.trainer.host.apply_gradient(answer)
        sizes.append(sum(map(len, messages)) // len(messages))
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", default="all")
    parser.add_argument("--export-gradient", default="topk=1%,momentum=0.5")
    parser.add_argument("--rounds", type=int, default=160)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    arguments = parser.parse_args()
    graph = optimize(load(DIGITS / "digits_int8.tflite"), ())
    step = requested_step(graph, read_request(arguments.train), rate=arguments.learning_rate)
    export = read_export(arguments.export_gradient)
    t = graph.types[graph.inputs[0]]
    images, labels = turned_digits()
    pixels = np.clip(np.rint(images / t.scale) + t.zero_point, *t.dtype.range).astype(t.dtype.carrier)
    known, test = slice(0, KNOWN), slice(KNOWN, None)
    halves = [np.flatnonzero((labels[known] >= 5) == high) for high in (False, True)]
    trainers = [HostTrainer(step, export=export) for _ in halves]
    before = Device(trainers[0], pixels, labels, 0).accuracy(pixels[test], labels[test])
    print(f"before: {before:.1f} % of turned digits")
    steps = STEPS * arguments.rounds
    for number, half in enumerate(halves):
        alone = Device(trainers[0], pixels[half], labels[half], number)
        alone.trainer.reset()
        alone.learn(steps)
        print(f"device {number} alone, {steps} steps: {alone.accuracy(pixels[test], labels[test]):.1f} %")
    one = Device(trainers[0], pixels[known], labels[known], 9)
    one.trainer.reset()
    one.learn(2 * steps)
    print(f"one device with all digits, {2 * steps} steps: {one.accuracy(pixels[test], labels[test]):.1f} %")
    devices = list[Device]()
    for number, (half, trainer) in enumerate(zip(halves, trainers, strict=True)):
        trainer.reset()
        devices.append(Device(trainer, pixels[half], labels[half], number))
    sizes = federated(devices, arguments.rounds)
    for number, device in enumerate(devices):
        print(f"device {number} with the server: {device.accuracy(pixels[test], labels[test]):.1f} %")
    states = [device.trainer.states for device in devices]
    shared = all(np.array_equal(states[0][name], states[1][name]) for name in step.parameters)
    print(f"their parameters are {'equal, bit for bit' if shared else 'different'}")
    training = trainers[0].program.training
    assert training is not None
    whole = training.parameter_bytes
    print(f"messages: {sizes[0]:,} bytes in the first round, {sizes[-1]:,} in the last; all parameters are {whole:,}")


if __name__ == "__main__":
    main()
