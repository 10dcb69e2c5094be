"""Small images: three stages of inverted bottlenecks (MobileNetV2, MnasNet), of separable or of whole convolutions.

Stages halve the image as long as it has four rows and columns.
"""

from __future__ import annotations

from tinycompile.search.network import Network
from tinycompile.search.space import Config

PARAMETERS = {
    "stem": [4, 8, 12, 16, 24],
    "stem_kernel": [3, 5],
    "stem_stride": [1, 2],
    "stages": [1, 2, 3],
    "block_1": ["bottleneck", "separable", "convolution"],
    "block_2": ["bottleneck", "separable", "convolution"],
    "block_3": ["bottleneck", "separable", "convolution"],
    "width_1": [8, 12, 16, 24],
    "width_2": [16, 24, 32, 48],
    "width_3": [16, 24, 32, 48, 64, 96],
    "depth": [1, 2, 3],
    "expansion": [2, 3, 4, 6],
    "kernel": [3, 5],
}
ELASTIC = ("kernel", "stem_kernel", "depth", "expansion", "width_3", "width_2", "width_1", "stem")
WIDTHS = ("stem", "width_1", "width_2", "width_3")

_SMALLEST = 4
"""Rows and columns of an image that is still halved."""


def build(config: Config, shape: tuple[int, ...], classes: int) -> Network:
    """`block_1` to `block_3` are the kinds of a stage's blocks; an `expansion` is of bottlenecks alone."""
    net = Network(shape)
    net.named("stem").conv(int(config["stem"]), int(config["stem_kernel"]), int(config["stem_stride"]))
    for stage in range(1, int(config["stages"]) + 1):
        for layer in range(int(config["depth"])):
            stride = 2 if layer == 0 and min(net.shape[1:]) >= _SMALLEST else 1
            net.named(f"stage_{stage}.{layer}.{config[f'block_{stage}']}")
            _block(net, str(config[f"block_{stage}"]), int(config[f"width_{stage}"]), stride, config)
    return net.named("head").global_average().dense(classes)


def _block(net: Network, kind: str, width: int, stride: int, config: Config) -> None:
    before, inputs, kernel = net.at, net.shape[0], int(config["kernel"])
    if kind == "convolution":
        net.conv(width, kernel, stride)
    elif kind == "separable":
        net.depthwise(kernel, stride).conv(width)
    else:
        net.conv(int(config["expansion"]) * inputs).depthwise(kernel, stride).conv(width, activation=None)
        if stride == 1 and inputs == width:
            net.add(before)
