"""Row by row from the command line to QEMU: limits below what layers need, rows by callback, the Pareto front."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS
from tests.e2e.test_golden import inputs_of, same_values
from tests.support.full import also
from tests.support.random_model import RandomModel
from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.verify.compare import verify_build

MODEL = DIGITS / "digits_int8.tflite"


@pytest.fixture(scope="module")
def macs_by_layers(shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], int]:
    """Multiplications and additions that a model executes layer by layer."""

    @cache
    def macs(model: str) -> int:
        folder = tmp_path_factory.mktemp("layers")
        build = tinycompile.compile(shared(f"models/{model}.tflite"), output=folder / "out", schedule="layer")
        return build.report["macs"]["executed"]

    return macs


@pytest.mark.parametrize(
    ("model", "limit"), [("kws_ref_model", 6656), ("ic_resnet8_int8", 22528), *also(("vww_96_int8", 31744))]
)
def test_models_fit_where_layers_do_not(
    model: str, limit: int, shared: Callable[[str], Path], macs_by_layers: Callable[[str], int], tmp_path: Path
) -> None:
    build = tinycompile.compile(shared(f"models/{model}.tflite"), output=tmp_path / "out", ram=limit)
    inputs, expected = inputs_of(shared(f"golden/{model}.npz"))
    first = [x[:1] for x in inputs], [y[:1] for y in expected]
    assert same_values(build.run(*inputs), expected)
    assert same_values(build.run(*first[0], on="qemu"), first[1])
    report = build.report
    assert report["schedule"] == "stream"
    assert report["ram"]["arena_bytes"] <= limit
    assert report["ram"]["arena_gap_bytes"] == 0
    assert report["macs"]["executed"] == macs_by_layers(model)
    outcome = verify_build(build, first[0])
    assert outcome.difference is None
    assert outcome.tensors > 4


@pytest.mark.parametrize(
    ("model", "limit", "schedule", "mode", "tiles"),
    [
        ("kws_ref_model", 4300, "patch", "patch", False),
        ("ic_resnet8_int8", 16000, "patch", "patch", True),
        ("ic_resnet8_int8", 16000, "auto", "stream", True),
    ],
)
def test_patches_and_tiles_fit_where_rows_do_not(
    model: str,
    limit: int,
    schedule: str,
    mode: str,
    tiles: bool,
    shared: Callable[[str], Path],
    macs_by_layers: Callable[[str], int],
    tmp_path: Path,
) -> None:
    build = tinycompile.compile(shared(f"models/{model}.tflite"), output=tmp_path / "out", ram=limit, schedule=schedule)
    inputs, expected = inputs_of(shared(f"golden/{model}.npz"))
    assert same_values(build.run(*inputs), expected)
    assert same_values(build.run(*(x[:1] for x in inputs), on="qemu"), [y[:1] for y in expected])
    report = build.report
    assert report["schedule"] == mode
    assert any(stage["tiles"] > 1 for stage in report["stages"]) == tiles
    assert report["ram"]["arena_bytes"] <= limit
    again = sum(stage["macs"] - stage["layer_macs"] for stage in report["stages"])
    assert again > 0
    assert report["macs"]["executed"] == again + macs_by_layers(model)


@pytest.mark.parametrize("target", ["stm32f746", "microbit", "host"])
def test_input_rows_come_through_a_callback(target: str, tmp_path: Path) -> None:
    data = np.load(DIGITS / "digits_samples.npz")
    build = tinycompile.compile(MODEL, target=target, output=tmp_path / "out", input_stream="rows")
    np.testing.assert_array_equal(build.run(data["input_0"][:5]), data["output_0"][:5])
    assert build.report["input_stream"] == "rows"
    if target != "host":
        np.testing.assert_array_equal(build.run(data["input_0"][:5], on="qemu"), data["output_0"][:5])
        assert verify_build(build, [data["input_0"][:2]]).difference is None


def test_input_rows_of_planes_have_channels_last(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """The model takes (1, 3, 80, 80) and transposes; the rows are those of (1, 80, 80, 3)."""
    build = tinycompile.compile(
        shared("models/mcunet_vww.tflite"), output=tmp_path / "out", io="int8", ram=22528, input_stream="rows"
    )
    (t,) = build.inputs
    assert t.shape[3] == 3
    samples = np.random.default_rng(0).integers(-128, 128, (1, *t.shape)).astype(np.int8)
    assert verify_build(build, [samples]).difference is None


STAGES = [(0, "stream"), (1, "patch"), (2, "auto"), (2, "stream"), (2, "patch")]


@pytest.mark.parametrize(("seed", "schedule"), [*STAGES, *also((0, "patch"), (0, "auto"), (1, "stream"), (1, "auto"))])
def test_random_networks_in_stages(seed: int, schedule: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT")
    content, shape = RandomModel(100 + seed).build(layers=4 + seed % 4)
    model = tmp_path / f"random_{seed}.tflite"
    model.write_bytes(content)
    build = tinycompile.compile(
        model, target=("stm32f746", "rp2040")[seed % 2], output=tmp_path / "out", schedule=schedule, optimize="ram"
    )
    samples = np.random.default_rng(seed).integers(-128, 128, (2, *shape)).astype(np.int8)
    outcome = verify_build(build, [samples])
    assert outcome.difference is None, outcome.difference.describe()


def test_layers_need_the_whole_input(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="row by row"):
        tinycompile.compile(MODEL, output=tmp_path / "out", schedule="layer", input_stream="rows")


def test_the_pareto_front_falls() -> None:
    result = CliRunner().invoke(main, ["plan", str(MODEL), "--pareto"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()[2:]]
    arenas, instructions = ([int(row[i].replace(",", "")) for row in rows] for i in (0, 1))
    assert arenas == sorted(arenas, reverse=True)
    assert instructions == sorted(instructions)
    assert "layer by layer" in result.output
    assert "row at a time" in result.output
