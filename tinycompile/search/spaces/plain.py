"""Small images: two stages of whole convolutions (VGG, ICLR 2015), the second of half the rows and columns.

All parameters are elastic: every network is a part of the largest, so a supernet serves all of them.
"""

from __future__ import annotations

from tinycompile.search.network import Network
from tinycompile.search.space import Config

PARAMETERS = {
    "stem": [4, 8, 12, 16],
    "width_1": [8, 12, 16, 24],
    "width_2": [16, 20, 24, 28, 32, 40],
    "depth_1": [0, 1],
    "depth_2": [1, 2, 3],
    "kernel_1": [1, 3],
    "kernel_2": [1, 3],
}
ELASTIC = ("kernel_1", "kernel_2", "depth_1", "depth_2", "width_2", "width_1", "stem")
WIDTHS = ("stem", "width_1", "width_2")


def build(config: Config, shape: tuple[int, ...], classes: int) -> Network:
    """The kernels are those of a stage's later convolutions: the first of each has 3 rows and columns."""
    net = Network(shape).named("stem").conv(int(config["stem"]), 3)
    for layer in range(int(config["depth_1"])):
        net.named(f"full_{layer}").conv(int(config["width_1"]), int(config["kernel_1"]))
    net.named("halving").conv(int(config["width_2"]), 3, 2)
    for layer in range(int(config["depth_2"])):
        net.named(f"half_{layer}").conv(int(config["width_2"]), int(config["kernel_2"]))
    return net.named("head").global_average().dense(classes)
