"""Train a small keyword transformer on words that eSpeak NG speaks, and write the model and data of this folder.

In the manner of "Keyword Transformer" (A. Berg, M. O'Connor, M. T. Cruz, Interspeech 2021): two frames are a token, a
class token is in front, three blocks of attention and an MLP, the class token is read.

A quarter of eSpeak's variants, which are the timbres of voices, speaks the test's words and none of the training's.

Writes to --out:
  kws_transformer.onnx        float32, opset 17, features (1, 1, 48, 24) to 12 logits
  kws_transformer_calib.npz   input_0: training samples to quantise with
  kws_transformer_test.npz    x, y: test samples and labels
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from data import BANDS, FRAMES, LABELS, Speaker, spoken
from torch import Tensor, nn
from torch.nn import functional

TRAIN, TEST, CALIBRATION, KEPT_TEST = 14_400, 3_000, 64, 120
WIDTH, HEADS, BLOCKS, HIDDEN, PATCH = 32, 4, 3, 64, 2
TOKENS = FRAMES // PATCH + 1


class Block(nn.Module):
    """Attention and an MLP, each behind a norm and beside a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.dropout = nn.Dropout(0.05)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.attention_norm(x)
        query, key, value = (
            layer(normed).reshape(-1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        weights = torch.softmax(query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5, dim=-1)
        mixed = (weights @ value).transpose(1, 2).reshape(-1, TOKENS, WIDTH)
        x = x + self.dropout(self.output(mixed))
        return x + self.dropout(self.down(functional.gelu(self.up(self.feed_norm(x)))))


class KeywordTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Linear(PATCH * BANDS, WIDTH)
        self.first = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.places = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LABELS))

    def forward(self, features: Tensor) -> Tensor:
        tokens = self.patches(features.reshape(-1, TOKENS - 1, PATCH * BANDS))
        tokens = torch.cat([self.first.expand(tokens.shape[0], 1, WIDTH), tokens], dim=1) + self.places
        return self.head(self.norm(self.blocks(tokens)[:, 0]))


def varied(x: Tensor) -> Tensor:
    """Each sample moved by up to three frames, without a few bands and frames, and with noise."""
    count = len(x)
    at = torch.arange(FRAMES) + torch.randint(-3, 4, (count, 1))
    moved = x[torch.arange(count)[:, None], 0, at.clamp(0, FRAMES - 1)]
    for axis, size in ((1, FRAMES), (2, BANDS)):
        begin, wide = torch.randint(0, size, (count, 1)), torch.randint(0, size // 6 + 1, (count, 1))
        places = torch.arange(size)
        hidden = (places >= begin) & (places < begin + wide)
        moved = moved.masked_fill(hidden.unsqueeze(3 - axis), 0)
    return (moved + torch.randn_like(moved) * 0.3)[:, None]


def fit(model: KeywordTransformer, x: Tensor, y: Tensor, epochs: int, batch: int = 128) -> None:
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
            loss = functional.cross_entropy(model(varied(x[chosen])), y[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {total / (len(x) // batch):.3f}", flush=True)


def data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(training samples, labels, test samples, labels)."""
    speaker, rng = Speaker(), np.random.default_rng(seed)
    variants = [str(name) for name in rng.permutation(speaker.variants)]
    others = len(variants) // 4
    print(f"{len(variants) - others} variants train, {others} test: {', '.join(sorted(variants[:others]))}")
    train, test = spoken(speaker, variants[others:], TRAIN, rng), spoken(speaker, variants[:others], TEST, rng)
    return train.x, train.y, test.x, test.y


def main() -> None:
    parser = argparse.ArgumentParser(description="Speak, train, export and test the keyword transformer.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    x, y, others, labels = data(args.seed)
    model = KeywordTransformer()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(x)} words", flush=True)
    fit(model, torch.from_numpy(x), torch.from_numpy(y), args.epochs)
    model.eval()
    with torch.no_grad():
        found = model(torch.from_numpy(others)).argmax(1).numpy()
    print(f"voices that it hasn't heard: {(found == labels).sum()}/{len(labels)} = {(found == labels).mean():.2%}")
    for index, name in enumerate(LABELS):
        print(f"  {name}: {(found[labels == index] == index).mean():.1%}")
    args.out.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        (torch.from_numpy(x[:1]),),
        args.out / "kws_transformer.onnx",
        input_names=["features"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )
    np.savez_compressed(args.out / "kws_transformer_calib.npz", input_0=x[:CALIBRATION])
    kept = {"x": others[:KEPT_TEST], "y": labels[:KEPT_TEST].astype(np.uint8)}
    np.savez_compressed(args.out / "kws_transformer_test.npz", **kept)
    print(f"of the {KEPT_TEST} in the file: {(found == labels)[:KEPT_TEST].sum()} right")


if __name__ == "__main__":
    main()
