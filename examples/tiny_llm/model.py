"""The network: a small llama over characters, once for whole texts (training), once for a token at a time (export)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHARACTERS = 64
WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 64, 5, 4, 176, 128
HEAD = WIDTH // HEADS


def rotation() -> tuple[Tensor, Tensor]:
    """Cosines and sines of each position's angles, (CONTEXT, HEAD): rotary position embedding (Su et al., 2021)."""
    rates = 10000.0 ** (-torch.arange(0, HEAD, 2) / HEAD)
    angles = torch.arange(CONTEXT)[:, None] * rates
    return torch.cos(angles).repeat(1, 2), torch.sin(angles).repeat(1, 2)


def rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Pairs (i, i + HEAD / 2) of the last axis, turned by their position's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat([-second, first], dim=-1) * sines


class Block(nn.Module):
    """Attention and a gated feed-forward layer (SwiGLU), each behind a norm and beside a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(WIDTH, eps=1e-5)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH, bias=False)
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)
        self.feed_norm = nn.RMSNorm(WIDTH, eps=1e-5)
        self.gate = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def heads(self, x: Tensor) -> Tensor:
        """(texts, tokens, WIDTH) to (texts, HEADS, tokens, HEAD)."""
        return x.unflatten(-1, (HEADS, HEAD)).transpose(1, 2)

    def feed_forward(self, x: Tensor) -> Tensor:
        x = self.feed_norm(x)
        return self.down(functional.silu(self.gate(x)) * self.up(x))

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        normed = self.attention_norm(x)
        query = rotated(self.heads(self.query(normed)), cosines, sines)
        key = rotated(self.heads(self.key(normed)), cosines, sines)
        mixed = functional.scaled_dot_product_attention(query, key, self.heads(self.value(normed)), is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        return x + self.feed_forward(x)


class Llama(nn.Module):
    """Logits of the next character: tokens (texts, tokens) to (texts, tokens, CHARACTERS)."""

    cosines: Tensor
    sines: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CHARACTERS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=1e-5)
        self.logits = nn.Linear(WIDTH, CHARACTERS, bias=False)
        for name, table in zip(("cosines", "sines"), rotation(), strict=True):
            self.register_buffer(name, table, persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                last = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(weight, std=0.06 / (2 * LAYERS) ** 0.5 if last else 0.06)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        cosines, sines = self.cosines[: tokens.shape[1]], self.sines[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, cosines, sines)
        return self.logits(self.norm(x))
