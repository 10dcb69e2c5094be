"""Networks of several widths are quantised with the same integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support.full import also
from tests.support.labelled import samples
from tinycompile.errors import UsageError
from tinycompile.quantize.widths import quantized_widths
from tinycompile.search import Network, load_space
from tinycompile.search.shared_weights import inherited, key_of, shapes_of
from tinycompile.search.slim import check_widths_of, narrower, slimmed


def network(channels: int) -> Any:
    net = Network((1, 6, 6)).named("a").conv(channels, 3).named("b").conv(2 * channels, 1)
    return net.named("head").global_average().dense(3).model()


def weights_of(proto: Any) -> dict[str, Any]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two widths with the same weights, and statistics of their own."""
    rng, wide = np.random.default_rng(0), network(8)
    names = [name for name, value in weights_of(wide).items() if "mean" not in name and "variance" not in name]
    sizes = shapes_of([wide], [names])
    shared = {key: rng.normal(0.1, 0.4, size).astype(np.float32) for key, size in sizes.items()}
    found = list[Path]()
    for channels in (8, 4):
        proto = inherited(network(channels), shared)
        for each in proto.graph.initializer:
            if "variance" in each.name or "mean" in each.name:
                values = rng.uniform(0.2, 0.9, tuple(each.dims)).astype(np.float32)
                each.CopyFrom(onnx.numpy_helper.from_array(values, each.name))
        found.append(tmp_path / f"net_{channels}.onnx")
        onnx.save(proto, str(found[-1]))
    assert key_of("a/weights_0", (8, 1, 3, 3)) in shared
    return found


def test_integers_are_leading_blocks_and_scales_are_their_own(files: list[Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "calib.npz", x=rng.normal(0, 1, (24, 1, 6, 6)).astype(np.float32))
    wide, narrow = (weights_of(each.proto) for each in quantized_widths(files, tmp_path / "calib.npz"))
    ends = [name for name in narrow if name.endswith("_weights_quantized")]
    assert len(ends) == 3
    for name in ends:
        mine, theirs = narrow[name], wide[name]
        assert mine.dtype == np.int8
        np.testing.assert_array_equal(mine, theirs[tuple(map(slice, mine.shape))])
        scale = name.replace("_quantized", "_scale")
        folded = "head" not in name and mine.ndim == 4
        assert np.array_equal(narrow[scale], wide[scale][: len(narrow[scale])]) != folded


@pytest.mark.parametrize("message", also("the layers are others than the widest network's"))
def test_other_layers_are_said(message: str, files: list[Path], tmp_path: Path) -> None:
    np.savez(tmp_path / "calib.npz", x=np.random.default_rng(1).normal(0, 1, (16, 1, 6, 6)).astype(np.float32))
    onnx.save(Network((1, 6, 6)).conv(4, 3).global_average().dense(3).model(), str(files[1]))
    with pytest.raises(UsageError, match=message):
        quantized_widths(files, tmp_path / "calib.npz")


def test_a_narrower_choice_has_fewer_channels_of_each_kind() -> None:
    space = load_space("plain")
    config = {"stem": 12, "width_1": 24, "width_2": 40, "depth_1": 1, "depth_2": 1, "kernel_1": 3, "kernel_2": 3}
    found = narrower(space, config, 0.5)
    assert found == {**config, "stem": 8, "width_1": 12, "width_2": 20}
    assert narrower(space, config, 0.01)["stem"] == 4
    for wrong, message in (
        ([1.5], r"--widths 1.5 isn't between 0 and 1\n.*\n  try: --widths 0.75,0.5"),
        ([0.5] * 2, "twice"),
    ):
        with pytest.raises(UsageError, match=message):
            check_widths_of(wrong, space)


@pytest.mark.parametrize("share", also(0.5))
def test_a_network_is_trained_and_built_at_several_widths(share: float, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tinycompile.search.data import Data
    from tinycompile.search.prices import Limits
    from tinycompile.search.trainer import Recipe

    part = samples((1, 8, 8), 60)
    np.savez(tmp_path / "data.npz", x=part.x, y=part.y)
    data, space = Data.read(tmp_path / "data.npz", None), load_space("plain")
    config = {"stem": 8, "width_1": 16, "width_2": 16, "depth_1": 0, "depth_2": 1, "kernel_1": 3, "kernel_2": 3}
    given = space, config, (share,), data, Recipe(epochs=1), "stm32f746"
    found = slimmed(*given, Limits(), tmp_path / "out")
    assert [each.share for each in found.widths] == [1.0, 0.5]
    assert found.widths[1].shared_bytes > found.widths[1].flash_bytes // 8
    assert len(found.lines()) == 3
    assert "on samples that it was trained with" in found.lines()[0]
    assert found.lines()[1].endswith("flash of its own " + f"{found.widths[0].flash_bytes:,}")
    assert (tmp_path / "out" / "firmware" / "wide.h").exists()
    with pytest.raises(UsageError, match=r"the firmware at several widths does not fit: .*\n.*each width has code"):
        slimmed(*given, Limits(flash=5000), tmp_path / "out")
