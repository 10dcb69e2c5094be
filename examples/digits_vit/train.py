"""Train a small vision transformer on scikit-learn's handwritten digits, and write the model and data of this folder.

Data: `sklearn.datasets.load_digits`, 1,797 images of 8x8 pixels, shipped inside scikit-learn; as in examples/digits the
first 1,415 images train and the last 382, by writers that the model has never seen, test.

Writes to --out:
  digits_vit.onnx        float32, opset 17, image (1, 1, 8, 8) of 0..1 to 10 logits
  digits_vit_calib.npz   input_0: 128 training images
  digits_vit_test.npz    x, y: the test images and labels
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

TRAIN, CALIBRATION = 1415, 128
STEM, WIDTH, HEADS, BLOCKS, HIDDEN, PATCH = 16, 32, 4, 2, 64, 2
TOKENS = (8 // PATCH) ** 2


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


class Vit(nn.Module):
    """Two convolutions, patches of 2x2 pixels as 16 tokens, two blocks, the mean of the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, STEM, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
            nn.Conv2d(STEM, STEM, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
        )
        self.patches = nn.Conv2d(STEM, WIDTH, PATCH, PATCH)
        self.places = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patches(self.stem(image)).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


def varied(images: Tensor) -> Tensor:
    """Each image turned by up to 11 degrees, scaled by up to 10 %, sheared, moved by up to a pixel, and with noise."""
    count = len(images)
    turn, shear = (torch.empty(count).uniform_(-0.2, 0.2) for _ in range(2))
    width, height = (torch.empty(count).uniform_(0.9, 1.1) for _ in range(2))
    moves = torch.empty(2, count).uniform_(-0.25, 0.25)
    cosine, sine = torch.cos(turn), torch.sin(turn)
    rows = [width * cosine, shear - sine, moves[0], sine, height * cosine, moves[1]]
    grid = functional.affine_grid(torch.stack(rows, 1).reshape(count, 2, 3), list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, align_corners=False)
    return (moved + torch.randn_like(moved) * 0.03).clamp(0, 1)


def fit(model: Vit, x: Tensor, y: Tensor, epochs: int, batch: int = 128) -> None:
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
        if epoch % 20 == 19:
            print(f"epoch {epoch + 1}: loss {total / (len(x) // batch):.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, export and test the vision transformer.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    digits = load_digits()
    x = (digits.images[:, None] / 16).astype(np.float32)
    y = digits.target.astype(np.int64)
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    model = Vit()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    fit(model, images[:TRAIN], labels[:TRAIN], args.epochs)
    model.eval()
    with torch.no_grad():
        right = int((model(images[TRAIN:]).argmax(1) == labels[TRAIN:]).sum())
    print(f"float test accuracy {right}/{len(y) - TRAIN} = {right / (len(y) - TRAIN):.2%}")
    args.out.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model,
        (images[:1],),
        args.out / "digits_vit.onnx",
        input_names=["image"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )
    chosen = np.random.default_rng(args.seed).permutation(TRAIN)[:CALIBRATION]
    np.savez_compressed(args.out / "digits_vit_calib.npz", input_0=x[chosen][:, None])
    np.savez_compressed(args.out / "digits_vit_test.npz", x=x[TRAIN:], y=y[TRAIN:].astype(np.uint8))


if __name__ == "__main__":
    main()
