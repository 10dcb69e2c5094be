"""`--compress-weights`: the same bits in less flash, as many layers as are wanted, and words where it can't help."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import tinycompile
from tests.conftest import DIGITS
from tests.mixed_precision import nets
from tinycompile.errors import UsageError
from tinycompile.interpreter import run
from tinycompile.layout import OWN_CODE_BYTES
from tinycompile.lowering import imported, lower
from tinycompile.options import Options
from tinycompile.planner import Planned
from tinycompile.report.table import print_report

MODEL = DIGITS / "digits_int8.tflite"
PLAIN, CODED = Options(), Options(compress_weights=True)


def planned(model: Path, options: Options) -> Planned:
    options.check()
    (lowered,), _ = lower([model], options.board(), options)
    return lowered.planned


def constants(plan: Planned) -> int:
    return sum(kernel.constant_bytes for kernel in plan.kernels)


def coded(plan: Planned) -> int:
    return sum(kernel.coding is not None for kernel in plan.kernels)


def test_all_that_get_smaller_are_coded_and_as_many_as_flash_takes(shared) -> None:
    model = shared("models/ad01_int8.tflite")
    plain, every = planned(model, PLAIN), planned(model, CODED)
    assert coded(plain) == 0 < coded(every)
    assert constants(every) < 0.75 * constants(plain)
    assert every.instructions > plain.instructions
    enough = OWN_CODE_BYTES + constants(plain) + sum(kernel.code_bytes for kernel in plain.kernels)
    with pytest.warns(UserWarning, match="fit --flash as they are"):
        assert coded(planned(model, replace(CODED, flash=2 * enough))) == 0
    some = planned(model, replace(CODED, flash=enough - 20_000))
    assert 0 < coded(some) < coded(every)
    assert plain.instructions < some.instructions < every.instructions


def test_the_firmware_computes_the_same(shared, tmp_path: Path) -> None:
    model = shared("models/ad01_int8.tflite")
    build = tinycompile.compile(model, target="host", output=tmp_path / "out", compress_weights=True)
    graph = imported(model, PLAIN)
    x = np.random.default_rng(0).integers(-128, 128, graph.types[graph.inputs[0]].shape).astype(np.int8)
    expected = run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_array_equal(np.asarray(build.run(x)).ravel(), np.asarray(expected).ravel())
    assert build.report["options"]["compress_weights"]
    layers = [each for each in build.report["layers"] if "their entropy is" in each["notes"].get("weights", "")]
    found = build.report["flash"]["coded"]
    assert found["layers"] == len(layers) > 0
    assert found["entropy_bytes"] < found["coded_bytes"] <= sum(each["weights_bytes"] for each in layers)
    text = f"{found['plain_bytes']:,} bytes coded as {found['coded_bytes']:,} in {len(layers)} layers"
    console = Console(record=True, width=200, file=StringIO())
    print_report(build.report, console)
    assert text in console.export_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(CODED, weights="separate"), "doesn't go with --weights separate"),
        (CODED, "makes no layer smaller"),  # whose arrays have too few bytes
    ],
)
def test_where_it_cannot_help(options: Options, message: str, tmp_path: Path) -> None:
    (tmp_path / "small.tflite").write_bytes(nets.content())
    with pytest.raises(UsageError, match=message):
        planned(tmp_path / "small.tflite", options)


def test_typical_weights_have_no_codes() -> None:
    with pytest.raises(UsageError, match="the weights that there are"):
        tinycompile.cost(MODEL, exact=False, compress_weights=True)
