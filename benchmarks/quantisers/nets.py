"""Twelve small float networks, and samples for them: `python nets.py FOLDER` writes NAME.onnx, opset13/NAME.onnx and NAME.npz.

Each has one of the structures that quantisers and their readers stumble over. Weights are drawn with a seed and made plausible
without training: He initialisation, batch normalisation whose statistics are those of the samples, and a gain per channel that
spreads over a factor of ten, as in trained networks. Samples are coloured noise with a spectrum like that of images: smooth, with
a few edges. NAME.npz has `calib` (64 samples) and `held` (256), both float32 and drawn apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

OPSET = 18
CALIBRATION, HELD_OUT = 64, 256


def convolution(inputs: int, outputs: int, size: int = 3, **options: int) -> nn.Sequential:
    """A convolution that keeps the size at stride 1, and its batch normalisation."""
    padding = options.get("dilation", 1) * (size - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=padding, bias=False, **options), nn.BatchNorm2d(outputs)
    )


class Head(nn.Module):
    """Mean over the image, and a linear layer."""

    def __init__(self, channels: int, classes: int = 10) -> None:
        super().__init__()
        self.pool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        return self.linear(self.pool(x).flatten(1))


class Residual(nn.Module):
    """ResNet: two blocks, the second with a convolution in its shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 16)
        self.a, self.b = convolution(16, 16), convolution(16, 16)
        self.c, self.d, self.shortcut = (
            convolution(16, 32, stride=2),
            convolution(32, 32),
            convolution(16, 32, 1, stride=2),
        )
        self.head = Head(32)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, 10)."""
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.b(torch.relu(self.a(x))))
        x = torch.relu(self.shortcut(x) + self.d(torch.relu(self.c(x))))
        return self.head(x)


class Depthwise(nn.Module):
    """MobileNetV2: inverted residuals with ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 16, stride=2), nn.ReLU6())
        self.first = self.inverted(16, 16, 1)
        self.second = self.inverted(16, 24, 2)
        self.head = Head(24)

    @staticmethod
    def inverted(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        """Expansion by three, a depthwise convolution, a linear projection."""
        wide = inputs * 3
        return nn.Sequential(
            convolution(inputs, wide, 1),
            nn.ReLU6(),
            convolution(wide, wide, stride=stride, groups=wide),
            nn.ReLU6(),
            convolution(wide, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, 10)."""
        x = self.stem(x)
        return self.head(self.second(x + self.first(x)))


class Inception(nn.Module):
    """Four branches of different scales, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 16)
        self.one = convolution(16, 8, 1)
        self.three = nn.Sequential(convolution(16, 8, 1), nn.ReLU(), convolution(8, 12))
        self.five = nn.Sequential(convolution(16, 4, 1), nn.ReLU(), convolution(4, 8, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(16, 8, 1))
        self.average = nn.AvgPool2d(2)
        self.head = Head(36)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 24, 24) to (N, 10)."""
        x = functional.max_pool2d(torch.relu(self.stem(x)), 2)
        x = torch.relu(torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1))
        return torch.softmax(self.head(self.average(x)), 1)


class SqueezeExcite(nn.Module):
    """Channels weighted by a small network of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = convolution(3, 16), convolution(16, 24, stride=2), Head(24)
        self.down, self.up = nn.Conv2d(24, 6, 1), nn.Conv2d(6, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 24, 24) to (N, 10)."""
        x = torch.relu(self.body(torch.relu(self.stem(x))))
        weight = torch.sigmoid(self.up(torch.relu(self.down(functional.adaptive_avg_pool2d(x, 1)))))
        return self.head(x * weight)


class HardSwish(nn.Module):
    """MobileNetV3: hard swish and hard sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 16, stride=2), nn.Hardswish())
        self.expand = nn.Sequential(convolution(16, 48, 1), nn.Hardswish())
        self.depthwise = nn.Sequential(convolution(48, 48, 5, groups=48), nn.Hardswish())
        self.down, self.up = nn.Conv2d(48, 12, 1), nn.Conv2d(12, 48, 1)
        self.project = convolution(48, 16, 1)
        self.head = nn.Sequential(nn.Linear(16, 32), nn.Hardswish(), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, 10)."""
        x = self.stem(x)
        y = self.depthwise(self.expand(x))
        weight = functional.hardsigmoid(self.up(torch.relu(self.down(y.mean((2, 3), keepdim=True)))))
        return self.head((x + self.project(y * weight)).mean((2, 3)))


class UNet(nn.Module):
    """Segmentation: down, up by nearest neighbours, with a shortcut, and three classes per pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottom, self.up = convolution(1, 12), convolution(12, 24), convolution(36, 12)
        self.classes = nn.Conv2d(12, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 24, 24) to (N, 3, 24, 24)."""
        a = torch.relu(self.down(x))
        b = torch.relu(self.bottom(functional.max_pool2d(a, 2)))
        b = functional.interpolate(b, scale_factor=2.0, mode="nearest")
        return self.classes(torch.relu(self.up(torch.cat([a, b], 1))))


class Autoencoder(nn.Module):
    """Anomaly detection: linear layers with batch normalisation, as many outputs as inputs."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (128, 64, 32, 8, 32, 64)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(64, 128))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 128) to (N, 128)."""
        return self.layers(x)


class Dilated(nn.Module):
    """A temporal convolutional network: one axis, causal padding, dilations, gates of tanh and sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 16, 1)
        self.filters = nn.ModuleList(nn.Conv1d(16, 16, 3, dilation=d) for d in (1, 2, 4))
        self.gates = nn.ModuleList(nn.Conv1d(16, 16, 3, dilation=d) for d in (1, 2, 4))
        self.norms = nn.ModuleList(nn.BatchNorm1d(16) for _ in range(3))
        self.last = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, 64) to (N, 5)."""
        x = self.stem(x)
        for dilation, filters, gate, norm in zip((1, 2, 4), self.filters, self.gates, self.norms, strict=True):
            padded = functional.pad(x, (2 * dilation, 0))
            x = norm(x + torch.tanh(filters(padded)) * torch.sigmoid(gate(padded)))
        return self.last(x[:, :, -1])


class Shuffle(nn.Module):
    """ShuffleNetV2: half of the channels pass, the halves are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 16, stride=2)
        self.units = nn.ModuleList(
            nn.Sequential(convolution(8, 8, 1), nn.ReLU(), convolution(8, 8, groups=8), convolution(8, 8, 1), nn.ReLU())
            for _ in range(2)
        )
        self.head = Head(16)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, 10)."""
        x = functional.max_pool2d(torch.relu(self.stem(x)), 3, 2, 1)
        for unit in self.units:
            left, right = x.chunk(2, 1)
            x = torch.cat([left, unit(right)], 1)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(x)


class SiLU(nn.Module):
    """EfficientNet and YOLO: x times its sigmoid, and a spatial pyramid of max pools."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = convolution(3, 16, stride=2), convolution(16, 16)
        self.join, self.head = convolution(48, 24, 1), Head(24)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, 10)."""
        x = functional.silu(self.stem(x))
        x = x + functional.silu(self.body(x))
        a = functional.max_pool2d(x, 5, 1, 2)
        return self.head(functional.silu(self.join(torch.cat([x, a, functional.max_pool2d(a, 5, 1, 2)], 1))))


class Grouped(nn.Module):
    """ResNeXt and face networks: grouped convolutions, PReLU, leaky ReLU, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.slope = convolution(3, 16), nn.PReLU(16)
        self.body, self.wide = convolution(16, 32, stride=2, groups=4), convolution(32, 32, groups=8)
        self.last = nn.Linear(32 * 6 * 6, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 24, 24) to (N, 10)."""
        x = self.slope(self.stem(x))
        x = functional.leaky_relu(self.body(x), 0.1)
        x = functional.avg_pool2d(functional.gelu(self.wide(x)), 2)
        return self.last(x.flatten(1))


class Upsampling(nn.Module):
    """Decoder: transposed convolution, bilinear resizing, a sigmoid per pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = convolution(1, 16, stride=2), convolution(16, 24, stride=2)
        self.up, self.norm = nn.ConvTranspose2d(24, 12, 4, 2, 1), nn.BatchNorm2d(12)
        self.join, self.last = convolution(28, 8), nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 16, 16) to (N, 1, 16, 16)."""
        a = torch.relu(self.down(x))
        b = torch.relu(self.norm(self.up(torch.relu(self.deep(a)))))
        c = functional.relu6(self.join(torch.cat([a, b], 1)))
        c = functional.interpolate(c, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.last(c))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (3, 32, 32)),
    "depthwise": (Depthwise, (3, 32, 32)),
    "inception": (Inception, (3, 24, 24)),
    "squeeze_excite": (SqueezeExcite, (3, 24, 24)),
    "hardswish": (HardSwish, (3, 32, 32)),
    "unet": (UNet, (1, 24, 24)),
    "autoencoder": (Autoencoder, (128,)),
    "dilated": (Dilated, (4, 64)),
    "shuffle": (Shuffle, (3, 32, 32)),
    "silu": (SiLU, (3, 32, 32)),
    "grouped": (Grouped, (3, 24, 24)),
    "upsampling": (Upsampling, (1, 16, 16)),
}
"""Constructor and shape of one input."""


def samples(count: int, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Coloured noise: amplitudes fall with the frequency along every axis but the first (channels, which are correlated)."""
    axes = tuple(range(2, len(shape) + 1)) or (1,)
    noise = random.standard_normal((count, *shape))
    if len(shape) > 1:
        noise = noise + 1.5 * random.standard_normal((count, 1, *shape[1:]))
    frequency = np.sqrt(
        sum(
            np.fft.fftfreq(n).reshape([-1 if a == b else 1 for b in range(len(shape) + 1)]) ** 2
            for a, n in zip(axes, [noise.shape[a] for a in axes], strict=True)
        )
    )
    smooth = np.fft.ifftn(np.fft.fftn(noise, axes=axes) / (frequency + 0.04), axes=axes).real
    smooth /= smooth.std()
    edges = np.sign(smooth) * random.uniform(0, 0.6, (count, *[1] * len(shape)))
    contrast = random.uniform(0.5, 1.5, (count, *[1] * len(shape)))
    return ((smooth + edges) * contrast).astype(np.float32)


def plausible(net: nn.Module, batch: Tensor, seed: int) -> nn.Module:
    """`net` with drawn weights, gains and offsets, its normalisations' statistics taken from `batch`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor, low: float, high: float) -> Tensor:
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                fan = layer.weight[0].numel() / (layer.stride[0] ** 2 if isinstance(layer, nn.ConvTranspose2d) else 1)
                heavy = torch.empty_like(layer.weight).normal_(generator=generator)
                heavy *= 1 + draw(heavy, 0, 1) ** 8 * 2  # a few large weights, as training leaves them
                layer.weight.copy_(heavy * (1.6 / fan) ** 0.5)
                if layer.bias is not None:
                    layer.bias.copy_(draw(layer.bias, -0.2, 0.2))
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.weight.copy_(10 ** draw(layer.weight, -0.6, 0.4))
                layer.bias.copy_(draw(layer.bias, -0.5, 0.8))
                layer.momentum = None  # the plain average
            if isinstance(layer, nn.PReLU):
                layer.weight.copy_(draw(layer.weight, -0.1, 0.5))
        net.train()
        net(batch)
    return net.eval()


def main(folder: Path, names: list[str]) -> None:
    """Write the named nets, or all."""
    (folder / "opset13").mkdir(parents=True, exist_ok=True)
    for number, (name, (constructor, shape)) in enumerate(NETS.items()):
        if names and name not in names:
            continue
        random = np.random.default_rng(number)
        torch.manual_seed(number)
        calibration, held = samples(CALIBRATION, shape, random), samples(HELD_OUT, shape, random)
        batch = torch.from_numpy(calibration)
        net = plausible(constructor(), batch, number)
        torch.onnx.export(
            net, (batch[:1],), str(folder / f"{name}.onnx"), input_names=["x"], output_names=["y"],
            opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
        torch.onnx.export(
            net, (batch[:1],), str(folder / "opset13" / f"{name}.onnx"), input_names=["x"], output_names=["y"],
            opset_version=13, dynamo=False,
        )  # fmt: skip
        np.savez_compressed(folder / f"{name}.npz", calib=calibration, held=held)
        torch.save(net.state_dict(), folder / f"{name}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
