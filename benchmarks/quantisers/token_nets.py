"""Eight small float transformers, and samples for them: `python token_nets.py FOLDER` writes NAME.onnx and NAME.npz.

Four blocks as PyTorch exports them: nn.TransformerEncoderLayer with its normalisations in front of and behind its halves, a
vision transformer of two blocks, and a block of a Llama-like decoder (RMSNorm, rotary embedding, SwiGLU, causal attention of
grouped heads). Each a second time as NAME_outliers, with `LOUD` columns of each normalisation 20 to 50 times as large and
what reads them as much smaller: the same function, whose activations have the outliers that large transformers are known
for (G. Xiao et al., "SmoothQuant", ICML 2023, section 3). Weights and samples are drawn as `nets.py` draws its own.

`python -m benchmarks.quantisers.sqnr FOLDER` says how closely quantisers follow them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from nets import CALIBRATION, HELD_OUT, samples
from torch import Tensor, nn
from torch.nn import functional

OPSET = 18
LOUD = 3
"""Columns of each normalisation that become outliers."""
TOKENS, WIDTH, HEADS = 24, 48, 4
LAST = 1e-4
"""What outliers may change of an output, relative to the largest: the rounding of float32."""

Reads = Sequence[tuple[nn.Module, Sequence[nn.Parameter]]]
"""(normalisation, the matrices that read what it makes; columns are inputs)."""


class Encoder(nn.Module):
    """nn.TransformerEncoderLayer."""

    def __init__(self, *, norm_first: bool) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first
        )
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) to the same."""
        return self.layer(x)

    def reads(self) -> Reads:
        """Behind its halves only one of the normalisations is read by nothing but matrices: none, as a sum reads the first."""
        layer = self.layer
        if not self.norm_first:
            return []
        return [(layer.norm1, [layer.self_attn.in_proj_weight]), (layer.norm2, [layer.linear1.weight])]


class Vit(nn.Module):
    """A vision transformer: patches of 4 x 4 pixels, a class token, places, two blocks, ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, 4)
        self.token, self.places = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Parameter(torch.zeros(1, 26, WIDTH))
        self.blocks = nn.ModuleList(Encoder(norm_first=True) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 20, 20) to (N, 10)."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])

    def reads(self) -> Reads:
        """Those of its blocks, and the last one."""
        return [pair for block in self.blocks for pair in block.reads()] + [(self.norm, [self.head.weight])]


class Llama(nn.Module):
    """A block of a Llama-like decoder on embedded tokens, with a last normalisation and matrix."""

    def __init__(self, keys: int = 2) -> None:
        super().__init__()
        self.keys, self.size = keys, WIDTH // HEADS
        self.first, self.second, self.last = (nn.RMSNorm(WIDTH) for _ in range(3))
        self.q, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(WIDTH, keys * self.size, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(WIDTH, 128, bias=False) for _ in range(2))
        self.down, self.head = nn.Linear(128, WIDTH, bias=False), nn.Linear(WIDTH, 32, bias=False)
        angles = torch.arange(TOKENS)[:, None] / 10000 ** (torch.arange(0, self.size, 2) / self.size)
        self.register_buffer("cos", angles.cos().repeat(1, 2))
        self.register_buffer("sin", angles.sin().repeat(1, 2))

    def rotated(self, x: Tensor) -> Tensor:
        """(N, heads, tokens, size), each pair of halves turned by its token's angle."""
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) to (N, tokens, 32)."""
        y = self.first(x)
        q, k, v = (m(y).unflatten(-1, (-1, self.size)).transpose(1, 2) for m in (self.q, self.k, self.v))
        k, v = (each.repeat_interleave(HEADS // self.keys, 1) for each in (self.rotated(k), v))
        y = functional.scaled_dot_product_attention(self.rotated(q), k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        y = self.second(x)
        x = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return self.head(self.last(x))

    def reads(self) -> Reads:
        """All of its normalisations."""
        first = [self.q.weight, self.k.weight, self.v.weight]
        return [
            (self.first, first),
            (self.second, [self.gate.weight, self.up.weight]),
            (self.last, [self.head.weight]),
        ]


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "encoder_norm_first": (lambda: Encoder(norm_first=True), (TOKENS, WIDTH)),
    "encoder_norm_last": (lambda: Encoder(norm_first=False), (TOKENS, WIDTH)),
    "vit": (Vit, (3, 20, 20)),
    "llama": (Llama, (TOKENS, WIDTH)),
}
"""Constructor and shape of one input."""


def drawn(net: nn.Module, seed: int) -> nn.Module:
    """`net` with matrices that have a few large weights, and gains that spread over a factor of four."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            values = torch.empty_like(p).normal_(generator=generator)
            if name in ("token", "places"):
                p.copy_(0.5 * values)
            elif p.ndim == 1:
                gain = "norm" in name or isinstance(net.get_submodule(name.rpartition(".")[0]), nn.RMSNorm)
                p.copy_(10 ** (0.3 * values.clamp(-1, 1)) if gain and name.endswith("weight") else 0.2 * values)
            else:
                heavy = values * (1 + torch.empty_like(p).uniform_(0, 1, generator=generator) ** 8 * 2)
                p.copy_(heavy / heavy.std() / p[0].numel() ** 0.5)  # results as large as operands
    return net.eval()


def with_outliers(reads: Reads, seed: int) -> None:
    """Columns of each normalisation 20 to 50 times as large, and what reads them as much smaller, in place."""
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for norm, matrices in reads:
            columns = random.choice(WIDTH, LOUD, replace=False)
            factors = torch.from_numpy(random.uniform(20, 50, LOUD).astype(np.float32))
            norm.weight[columns] *= factors
            if getattr(norm, "bias", None) is not None:
                norm.bias[columns] *= factors
            for matrix in matrices:
                matrix[:, columns] /= factors


def main(folder: Path, names: list[str]) -> None:
    """Write the named nets, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.backends.mha.set_fastpath_enabled(False)  # one operator that no exporter knows
    for number, (name, (constructor, shape)) in enumerate(NETS.items()):
        random = np.random.default_rng(number)
        calibration, held = samples(CALIBRATION, shape, random), samples(HELD_OUT, shape, random)
        batch, net = torch.from_numpy(calibration), drawn(constructor(), number)
        with torch.no_grad():
            if isinstance(net, Vit):  # patches as large as their places, as training leaves them
                net.patches.weight /= net.patches(batch).std()
            plain = net(batch)
        for full in (name, f"{name}_outliers"):
            if full != name:
                if not net.reads():
                    continue
                with_outliers(net.reads(), number)
                with torch.no_grad():
                    if (net(batch) - plain).abs().max() > LAST * plain.abs().max():
                        raise ValueError(f"{full} isn't the same function")
            if names and full not in names:
                continue
            torch.onnx.export(
                net, (batch[:1],), str(folder / f"{full}.onnx"), input_names=["x"], output_names=["y"],
                opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
            np.savez_compressed(folder / f"{full}.npz", calib=calibration, held=held)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
