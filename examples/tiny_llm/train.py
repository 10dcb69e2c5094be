"""Train the character model of this folder on the King James Bible, and write `tiny_llm.npz` (float32 weights).

Text: Debian's package `bible-kjv`, whose program prints it. The translation of 1611 is in the public domain. Verses
become lines without their numbers; every twentieth chapter is held out.
"""

from __future__ import annotations

import argparse
import itertools
import math
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from model import CHARACTERS, CONTEXT, Llama
from torch.nn import functional

HELD_OUT = 20
BATCH = 32


def chapters() -> list[str]:
    """The text of each chapter, a verse per line."""
    program = shutil.which("bible")
    if program is None:
        raise SystemExit("there is no program `bible`: apt-get install bible-kjv")
    done = subprocess.run(
        [program, "-f", "-l", "100000", "gen1:1-rev22:21"], capture_output=True, text=True, check=True
    )
    verses = [line.split(" ", 1) for line in done.stdout.splitlines()]
    grouped = itertools.groupby(verses, key=lambda verse: verse[0].split(":")[0])
    return ["".join(f"{text.strip()}\n" for _, text in group) for _, group in grouped]


def split() -> tuple[str, np.ndarray, np.ndarray]:
    """The characters in the order of their tokens, and the tokens to train on and to test with."""
    texts = chapters()
    characters = "".join(sorted(set("".join(texts))))
    if len(characters) > CHARACTERS:
        raise SystemExit(f"the text has {len(characters)} characters, the model {CHARACTERS}")
    numbers = {character: token for token, character in enumerate(characters)}
    held = [text for index, text in enumerate(texts) if index % HELD_OUT == HELD_OUT - 1]
    rest = [text for index, text in enumerate(texts) if index % HELD_OUT != HELD_OUT - 1]
    return characters, *(np.array([numbers[c] for c in "".join(part)], np.int64) for part in (rest, held))


def batch(tokens: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """BATCH pieces of CONTEXT + 1 tokens from anywhere."""
    starts = rng.integers(0, len(tokens) - CONTEXT - 1, BATCH)
    return torch.from_numpy(tokens[starts[:, None] + np.arange(CONTEXT + 1)])


def loss_of(model: Llama, pieces: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(model(pieces[:, :-1]).flatten(0, 1), pieces[:, 1:].flatten())


def perplexity(model: Llama, tokens: np.ndarray) -> float:
    """Over whole pieces of CONTEXT tokens, each predicted from those in front of it in its piece."""
    count = (len(tokens) - 1) // CONTEXT
    places = CONTEXT * np.arange(count)[:, None] + np.arange(CONTEXT + 1)
    with torch.no_grad():
        losses = [loss_of(model, piece).item() * len(piece) for piece in torch.from_numpy(tokens[places]).split(256)]
    return math.exp(sum(losses) / count)


def fit(model: Llama, tokens: np.ndarray, steps: int, rate: float, rng: np.random.Generator) -> None:
    """AdamW; the rate rises during 100 steps, then falls as a cosine."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / 100, 0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
    )
    began = time.monotonic()
    for step in range(steps):
        loss = loss_of(model, batch(tokens, rng))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the character model.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tiny_llm.npz")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    characters, train, test = split()
    model = Llama()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(train):,} + {len(test):,} characters")
    fit(model, train, args.steps, args.rate, np.random.default_rng(args.seed))
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    np.savez(args.out, characters=np.array(characters), **weights)
    print(f"perplexity of held-out text {perplexity(model, test):.4f}")


if __name__ == "__main__":
    main()
