"""Spoken words by eSpeak NG, and what a model is given of them.

Each word is spoken by voices that differ in accent, timbre (eSpeak's variants), speed and pitch, put somewhere into one
second of 16 kHz with noise, and becomes 48 frames of 24 logarithms of energies in mel bands.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.random import Generator
from scipy.signal import resample_poly

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "bed bird cat dog happy house marvin sheila tree wow zero one two three four five six seven eight nine follow "
    "forward backward learn visual water light open close music table window number yellow paper garden"
).split()
LABELS = (*KEYWORDS, "unknown", "silence")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")

RATE, FRAMES, BANDS = 16_000, 48, 24
_FRAME, _HOP, _FFT = 480, 325, 512
_LOWEST, _HIGHEST = 60.0, 7_600.0
_STEP = 8
"""Features are multiples of 1/8, so that files of them are small; a step of int8 is about as large."""

_SYNCHRONOUS, _UTF8, _CHARACTERS = 2, 1, 1
_SPEED, _PITCH, _RANGE = 1, 3, 4
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """eSpeak NG, which the package espeakng-loader brings."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        self._rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(Path(data).parent).encode(), 0))
        if self._rate <= 0:
            raise RuntimeError(f"eSpeak NG doesn't find its data in {data}")
        self._parts = list[np.ndarray]()
        self._callback = _Callback(self._heard)
        self._library.espeak_SetSynthCallback(self._callback)
        variants = Path(data) / "voices" / "!v"
        self.variants = sorted(p.name for p in variants.iterdir() if p.is_file())

    def _heard(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _: int) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32))
        return 0

    def say(self, word: str, accent: str, variant: str, speed: int, pitch: int, spread: int) -> np.ndarray | None:
        """float32 samples of 16 kHz within -1 and 1; None where there is no such voice, or it says nothing."""
        if self._library.espeak_SetVoiceByName(f"{accent}+{variant}".encode()) != 0:
            return None
        for parameter, value in ((_SPEED, speed), (_PITCH, pitch), (_RANGE, spread)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._parts = []
        text = word.encode() + b"\0"
        self._library.espeak_Synth(text, len(text), 0, _CHARACTERS, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        found = np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)
        peak = float(np.abs(found).max(initial=0))
        if peak < 100:
            return None
        heard = np.flatnonzero(np.abs(found) > 0.01 * peak)
        found = resample_poly(found[heard[0] : heard[-1] + 1], RATE, self._rate)
        return (found / np.abs(found).max()).astype(np.float32)


@dataclass(frozen=True)
class Words:
    """Features (samples, 1, frames, bands) and labels, which are places in `LABELS`."""

    x: np.ndarray
    y: np.ndarray


def spoken(speaker: Speaker, variants: Sequence[str], count: int, rng: Generator) -> Words:
    """So many samples, of all labels equally many, by voices with these variants."""
    features, labels = list[np.ndarray](), list[int]()
    while len(features) < count:
        label = LABELS[len(features) % len(LABELS)]
        sound: np.ndarray | None = np.zeros(1, np.float32)
        if label != "silence":
            word = label if label in KEYWORDS else str(rng.choice(OTHERS))
            variant, accent = str(rng.choice(variants)), str(rng.choice(ACCENTS))
            speed, pitch, spread = (int(rng.integers(*ends)) for ends in ((110, 240), (15, 90), (20, 90)))
            sound = speaker.say(word, accent, variant, speed, pitch, spread)
        if sound is not None:
            features.append(features_of(in_a_second(sound, rng)))
            labels.append(LABELS.index(label))
    return Words(np.stack(features)[:, None], np.array(labels, np.int64))


def in_a_second(sound: np.ndarray, rng: Generator) -> np.ndarray:
    """Somewhere in a second, with noise of any colour 3 to 30 dB below it, as loud as it may be."""
    sound = sound[:RATE]
    room = RATE - len(sound)
    whole = np.zeros(RATE, np.float32)
    at = int(rng.integers(0, room + 1))
    whole[at : at + len(sound)] = sound
    spectrum = np.fft.rfft(rng.standard_normal(RATE))
    spectrum *= (1 + np.arange(len(spectrum))) ** -rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, RATE)
    level = max(float(np.sqrt(np.mean(sound**2))), 0.05) * 10 ** (-rng.uniform(3, 30) / 20)
    whole += (noise * level / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return whole * 10 ** (-rng.uniform(0, 20) / 20)


def _filters() -> np.ndarray:
    """(bands, bins) triangles, equally wide on the mel scale."""
    mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (_LOWEST, _HIGHEST)), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.arange(_FFT // 2 + 1) * RATE / _FFT
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down))


_FILTERS, _WINDOW = _filters(), np.hanning(_FRAME)


def features_of(sound: np.ndarray) -> np.ndarray:
    """float32 (frames, bands): log2 of the energies, less their mean, so that loudness doesn't matter."""
    starts = np.arange(FRAMES) * _HOP
    frames = sound[starts[:, None] + np.arange(_FRAME)] * _WINDOW
    energies = np.abs(np.fft.rfft(frames, _FFT)) ** 2 @ _FILTERS.T
    logarithms = np.log2(energies + 1e-6)
    centred = np.clip(logarithms - logarithms.mean(), -12, 12)
    return (np.round(centred * _STEP) / _STEP).astype(np.float32)
