"""Writes pytorch_cnn.onnx and pytorch_cnn.npz beside this file: a small trained CNN, exported by torch.onnx.

Run with PyTorch (2.0.1 made the files in the repository): `python export.py`. The task: which quadrant of a noisy
16 x 16 image with 3 channels has the bright spot.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent


class Block(nn.Module):
    """Depthwise and pointwise convolution with a residual, as in MobileNetV2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class Cnn(nn.Module):
    """Stem, residual block, strided convolution, hard swish, global pooling, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = Block(8)
        self.down = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.Hardswish())
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.down(self.block(self.stem(x))))
        return torch.softmax(self.head(torch.flatten(x, 1)), dim=1)


def samples(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(0, 0.4, (count, 3, 16, 16)).astype(np.float32)
    y = rng.integers(0, 4, count)
    for image, quadrant in zip(x, y, strict=True):
        row, column = rng.integers(1, 6, 2) + 8 * np.array(divmod(int(quadrant), 2))
        image[:, row : row + 2, column : column + 2] += rng.uniform(1.2, 2.0)
    return x, y


def main() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x, y = samples(2000, rng)
    model = Cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        for batch in torch.randperm(len(x)).split(100):
            loss = nn.functional.nll_loss(
                torch.log(model(torch.from_numpy(x[batch])) + 1e-9), torch.from_numpy(y[batch])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    test_x, test_y = samples(80, rng)
    with torch.no_grad():
        output = model(torch.from_numpy(test_x)).numpy()
    print("accuracy", (output.argmax(axis=1) == test_y).mean())
    torch.onnx.export(
        model,
        torch.from_numpy(x[:1]),
        str(HERE / "pytorch_cnn.onnx"),
        opset_version=13,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}},
    )
    np.savez_compressed(HERE / "pytorch_cnn.npz", x=test_x, y=test_y, output=output, calib=x[:48])


if __name__ == "__main__":
    main()
