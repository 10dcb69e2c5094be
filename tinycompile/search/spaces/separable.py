"""Spectrograms and windows of sensors: DS-CNN ("Hello Edge", 2017), a convolution and separable ones.

A window of so many steps is an image of one row, on which kernels have one row as well.
"""

from __future__ import annotations

from tinycompile.search.network import Network
from tinycompile.search.space import Config

PARAMETERS = {
    "stem": [8, 16, 24, 32, 48, 64],
    "stem_kernel": [3, 5, 7, 9],
    "stem_stride": [1, 2, 4],
    "width": [8, 16, 24, 32, 48, 64],
    "depth": [0, 1, 2, 3, 4],
    "kernel": [3, 5],
    "halved": [0, 1, 2],
}
ELASTIC = ("kernel", "stem_kernel", "depth", "width", "stem")
WIDTHS = ("stem", "width")


def build(config: Config, shape: tuple[int, ...], classes: int) -> Network:
    """`halved`: so many of the separable layers have a stride of 2."""
    net = Network(shape)
    net.named("stem").conv(int(config["stem"]), *_window(net, int(config["stem_kernel"]), int(config["stem_stride"])))
    for layer in range(int(config["depth"])):
        stride = 2 if layer < int(config["halved"]) else 1
        net.named(f"layer_{layer}").depthwise(*_window(net, int(config["kernel"]), stride)).conv(int(config["width"]))
    return net.named("head").global_average().dense(classes)


def _window(net: Network, kernel: int, stride: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kernel and stride, in one row only where the image has no more."""
    _, rows, _ = net.image()
    return (min(kernel, 2 * rows - 1), kernel), (stride if rows > 1 else 1, stride)
