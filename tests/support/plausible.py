"""Inputs for the real float models: the real ones of ../shared/golden, and random ones that look alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def natural_images(count: int, size: int, seed: int) -> np.ndarray:
    """(count, size, size, 3) in [0, 1]: the spectrum falls with the frequency and colours go together, as in photos."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    fall = 1 / np.maximum(frequency, 1 / size) ** 1.2
    noise = rng.normal(size=(count, 4, size, size))
    waves = np.fft.ifft2(np.fft.fft2(noise) * fall).real
    waves /= waves.std(axis=(2, 3), keepdims=True)
    luma, chroma = waves[:, :1], waves[:, 1:]
    contrast, colour = rng.uniform(0.1, 0.3, (count, 1, 1, 1)), rng.uniform(0.02, 0.1, (count, 1, 1, 1))
    images = rng.uniform(0.3, 0.7, (count, 3, 1, 1)) * 0.4 + 0.3 + contrast * luma + colour * chroma
    return np.clip(images, 0, 1).transpose(0, 2, 3, 1)


def golden_inputs(path: Path, scale: float, zero_point: int) -> np.ndarray:
    """The real inputs of a golden file as the float model takes them."""
    with np.load(path) as file:
        x = file["input_0"][: int(file["n_real"])]
    return ((x.astype(np.float32) - zero_point) * np.float32(scale)).reshape(len(x), *x.shape[2:])


def model_inputs(model: str, golden: Path, count: int, seed: int) -> np.ndarray:
    """float32 (real ones + count, ...) for one of the models in ../shared/models."""
    rng = np.random.default_rng(seed)
    match model:
        case "ic_resnet8":
            real = golden_inputs(golden / "ic_resnet8_int8.npz", 1, -128)
            others = np.rint(255 * natural_images(count, 32, seed))
        case "vww_mobilenet":
            real = golden_inputs(golden / "vww_96_int8.npz", 1 / 255, -128)
            others = natural_images(count, 96, seed)
        case "kws_dscnn":
            real = golden_inputs(golden / "kws_ref_model.npz", 0.5847029, 83)
            shifts = rng.integers(-12, 13, count)
            gains, noise = rng.uniform(0.6, 1.2, (count, 1, 1, 1)), rng.uniform(0.5, 6, (count, 1, 1, 1))
            others = np.stack([np.roll(real[0], shift, 0) for shift in shifts]) * gains
            others = others + noise * rng.normal(size=others.shape)
        case _:
            real = golden_inputs(golden / "ad01_int8.npz", 0.3910152, 89)
            first, second = rng.integers(0, len(real), (2, count))
            part = rng.uniform(0, 1, (count, 1))
            others = part * real[first] + (1 - part) * real[second] + rng.normal(0, 0.7, (count, real.shape[1]))
    return np.concatenate([real, others]).astype(np.float32)
