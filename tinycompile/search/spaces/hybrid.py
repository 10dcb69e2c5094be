"""Small images: convolutions, then a tiny transformer on their pixels (as in HAT and MobileViT)."""

from __future__ import annotations

from tinycompile.search.network import Network
from tinycompile.search.space import Config, NoNetwork

PARAMETERS = {
    "stem": [8, 16, 24],
    "layers": [1, 2],
    "patch": [1, 2, 4],
    "width": [16, 24, 32, 48],
    "heads": [1, 2, 4],
    "blocks": [0, 1, 2, 3],
    "expansion": [1, 2, 4],
}
ELASTIC = ("blocks", "expansion", "layers", "width", "stem")
WIDTHS = ("stem", "width")

_MOST_TOKENS = 256


def build(config: Config, shape: tuple[int, ...], classes: int) -> Network:
    """Raises NoNetwork: too many tokens, or a width that heads don't divide."""
    width, patch, heads = (int(config[name]) for name in ("width", "patch", "heads"))
    net = Network(shape)
    for layer in range(int(config["layers"])):
        net.named(f"stem_{layer}").conv(int(config["stem"]), 3)
    net.named(f"patch_{patch}").conv(width, patch, patch)
    if width % heads or net.shape[1] * net.shape[2] > _MOST_TOKENS:
        raise NoNetwork(f"{net.shape[1] * net.shape[2]} tokens of {width} elements, {heads} heads")
    net.tokens().positions()
    for block in range(int(config["blocks"])):
        before = net.at
        net.named(f"block_{block}_of_{heads}_heads")
        net.layer_norm().attention(heads).add(before)
        before = net.at
        net.layer_norm().dense(int(config["expansion"]) * width, "relu").dense(width).add(before)
    return net.named("head").layer_norm().global_average().dense(classes)
