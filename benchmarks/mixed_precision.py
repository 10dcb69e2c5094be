"""What `quantize --bits auto` does to a model, on generated images: `docs/low_bit.md` has its lines.

Calibrated on images of one seed, measured on others: how often the largest output is where the model that the bits were
taken from has it, and the same of two versions of that model itself that differ by roundings only, which is what the
first figure can be compared with.

`python -m benchmarks.mixed_precision MODEL --weight-bytes 2100000 [--calibrating 128] [--measuring 300] [--slower 0.12]`
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.generated_images import FloatArray, generated_images, imagenet_inputs
from tinycompile.frontend import load
from tinycompile.ir import Array
from tinycompile.mixed_precision.automatic import Budget, automatic
from tinycompile.mixed_precision.measure import Samples
from tinycompile.mixed_precision.network import Network
from tinycompile.progress import listening

CALIBRATION_SEED, MEASUREMENT_SEED = 1, 2
LARGE = 64
"""Rows from which on images are taken as ImageNet's; smaller ones are pixels from 0 to 255, as CIFAR's networks take them."""


def inputs_of(images: FloatArray, shape: tuple[int, ...]) -> Array:
    """For a model whose input has this shape."""
    if shape[1] == 3:
        return (
            imagenet_inputs(images) if shape[2] >= LARGE else np.ascontiguousarray(255 * images.transpose(0, 3, 1, 2))
        )
    return imagenet_inputs(images).transpose(0, 2, 3, 1) if shape[1] >= LARGE else 255 * images


def roundings(network: Network, samples: Samples) -> float:
    """How often the network itself chooses the same with its activations rounded and not rounded."""
    count = len(next(iter(samples.judged.values())))
    same = list[Array]()
    for first in range(0, count, 25):
        part = {name: value[first : first + 25] for name, value in samples.judged.items()}
        rounded, smooth = (network.outputs(part, {}, rounded=each)[0].argmax(axis=1) for each in (True, False))
        same.append(rounded == smooth)
    return float(np.concatenate(same).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--weight-bytes", type=int)
    parser.add_argument("--weight-part", type=float)
    parser.add_argument("--slower", type=float)
    parser.add_argument("--calibrating", type=int, default=128)
    parser.add_argument("--measuring", type=int, default=300)
    parser.add_argument("--size", type=int, required=True, help="rows and columns of an image")
    parser.add_argument("--channels-first", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    shape = (1, 3, given.size, given.size) if given.channels_first else (1, given.size, given.size, 3)
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.npz" for name in ("calibration", "measurement")]
        counts = (given.calibrating, CALIBRATION_SEED), (given.measuring, MEASUREMENT_SEED)
        for path, (count, seed) in zip(paths, counts, strict=True):
            np.savez(path, x=inputs_of(generated_images(count, given.size, seed), shape))
        calib, evaluation = paths
        factor = None if given.slower is None else 1 + given.slower
        budget = Budget(given.weight_bytes, given.weight_part, instruction_factor=factor)
        form = "tflite" if given.model.suffix == ".tflite" else "onnx"
        with listening(lambda text: print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)):
            found = automatic(given.model, calib, budget, evaluation=evaluation, form=form)
        print("\n".join(found.lines()))
        if form == "tflite":
            network = Network(load(given.model))
            share = roundings(network, Samples.of(network, calib, evaluation))
            print(f"the int8 model itself, with activations rounded and not rounded: {share:.1%} the same choice")
    if given.output is not None:
        given.output.write_bytes(found.content)


if __name__ == "__main__":
    main()
