"""Images that nobody has to download: smooth coloured noise with shapes on it, by a seed.

Networks that were trained on photographs see edges, flat and shaded areas, textures and colours in them, but no objects;
what two versions of a network make of the same image can be compared on as many as one likes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue, as networks on ImageNet are given them."""

_SMOOTHNESS = (0.8, 1.8)
"""The spectrum falls with the frequency to minus this power; photographs have about 1."""

_SHAPES = 6
"""At most, on an image."""


def generated_images(count: int, size: int, seed: int) -> FloatArray:
    """float32 (count, size, size, 3) within 0 and 1. The first n of them are the same for every count."""
    return np.stack([_image(size, np.random.default_rng([seed, index])) for index in range(count)])


def imagenet_inputs(images: FloatArray) -> FloatArray:
    """(count, 3, rows, columns), each colour with the mean and the deviation that ImageNet's has taken out."""
    centred = (images - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_DEVIATION, np.float32)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2), np.float32)


def _image(size: int, random: np.random.Generator) -> FloatArray:
    image = _noise(size, random)
    for _ in range(int(random.integers(1, _SHAPES + 1))):
        mask = _shape(size, random)[..., None]
        colour = random.uniform(0, 1, 3) + random.uniform(0, 0.3) * (_noise(size, random) - 0.5)
        opacity = random.uniform(0.6, 1)
        image += opacity * mask * (colour - image)
    return np.clip(image, 0, 1).astype(np.float32)


def _noise(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """(size, size, 3): a field whose colours are correlated, with a random mean and contrast."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    spectrum = frequency ** -random.uniform(*_SMOOTHNESS)
    white = random.normal(0, 1, (size, size, 3))
    field = np.fft.irfft2(np.fft.rfft2(white, axes=(0, 1)) * spectrum[..., None], (size, size), axes=(0, 1))
    field /= field.std() + 1e-12
    field = field @ (0.6 * np.ones((3, 3)) / 3 + random.uniform(0.2, 0.8) * np.eye(3))
    return random.uniform(0.3, 0.7, 3) + random.uniform(0.08, 0.3) * field


def _shape(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """(size, size): 1 inside of an ellipse, a rectangle or a bundle of stripes, turned by some angle; edges are soft."""
    y, x = np.mgrid[:size, :size] / size - random.uniform(0.15, 0.85, 2).reshape(2, 1, 1)
    angle = random.uniform(0, np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    a, b = random.uniform(0.05, 0.35, 2)
    kind = random.integers(3)
    if kind == 0:
        distance = (np.hypot(u / a, v / b) - 1) * min(a, b)
    else:
        distance = np.maximum(np.abs(u) - a, np.abs(v) - b)
        if kind == 2:
            distance = np.maximum(distance, np.abs((u * random.uniform(8, 24)) % 1 - 0.5) / 24 - 0.008)
    softness = size * random.uniform(0.3, 1)
    return 1 / (1 + np.exp(np.clip(distance * softness, -30, 30)))
