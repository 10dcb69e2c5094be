"""Two cores: the same bytes as one, in QEMU and here; no data race, by ThreadSanitizer; what they aren't for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.branch_models import heads
from tests.support.full import FULL
from tests.support.random_model import RandomModel
from tests.support.two_threads import on_two_threads
from tinycompile.build import Build
from tinycompile.codegen.emit import emit_project
from tinycompile.errors import TargetError, UsageError
from tinycompile.lowering import lower, project_of
from tinycompile.options import Options


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers that are divided, then branches."""
    path = tmp_path_factory.mktemp("model") / "heads.tflite"
    path.write_bytes(heads())
    return path


@pytest.fixture(scope="module")
def host(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("cores") / "out"
    return tinycompile.compile(model, "host", output=folder, cores=2, pareto=False)


def test_threads_compute_the_same_without_a_race(host: Build, tmp_path: Path) -> None:
    ran = on_two_threads(host.folder, "heads", tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "0 wrong\n"), ran.stderr


@pytest.mark.skipif(not FULL, reason="builds once more: test-full")
def test_a_meeting_that_is_missing_is_a_race(host: Build, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    copy.mkdir()
    for file in (*host.folder.glob("*.[ch]"), *host.folder.glob("tinycompile/*.h")):
        (copy / file.relative_to(host.folder)).parent.mkdir(exist_ok=True)
        (copy / file.relative_to(host.folder)).write_text(file.read_text())
    code = copy / "heads.c"
    text = code.read_text()
    assert len(re.findall(r"^    meet\(context, core\);$", text, re.MULTILINE)) >= 3
    code.write_text(re.sub(r"^    meet\(context, core\);$", "", text, flags=re.MULTILINE))
    ran = on_two_threads(copy, "heads", tmp_path)
    assert ran.returncode != 0  # 66 for a race, 1 for other bytes


def test_in_qemu(model: Path, tmp_path: Path) -> None:
    build = tinycompile.compile(model, "mps2-an521", output=tmp_path / "out", cores=2, pareto=False)
    x = np.random.default_rng(1).integers(-128, 128, (3, *build.inputs[0].shape)).astype(np.int8)
    for on_both, alone in zip(build.run(x, on="qemu"), build.run(x), strict=True):
        assert np.array_equal(on_both, alone)
    cores = [layer["notes"].get("cores", "") for layer in build.report["layers"]]
    assert sum(note.startswith("rows") for note in cores) >= 3
    assert min(sum(note.startswith(f"core {core}") for note in cores) for core in (0, 1)) >= 3
    assert build.report["options"]["cores"] == 2
    for firmware in ("main", "main_console"):
        text = (build.folder / "firmware" / f"{firmware}.c").read_text()
        assert "if (start_second_core(heads_second_core) != 0)" in text, firmware


def test_the_second_core_is_started_for_one_of_several_models(tmp_path: Path) -> None:
    """It serves that one from then on, so that there is nobody to wait for another's."""
    models = [tmp_path / "one.tflite", tmp_path / "other.tflite"]
    for seed, path in enumerate(models):
        path.write_bytes(RandomModel(seed).build(0)[0])
    options = Options.of("mps2-an521", cores=2)
    lowered, layout = lower(models, options.board(), options)
    text = emit_project(project_of(options.board(), layout, lowered, cores=2))["firmware/main.c"]
    once = r"if \(!second_core_serves\) {\n +second_core_serves = 1;\n +if \(start_second_core\(\w+\) != 0\) {"
    once += r"\n.*\n +}\n        }\n    }"
    assert len(re.findall(once, text)) == len(re.findall(r"start_second_core\(\w+\) != 0", text)) == len(models)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cores": 3}, "none of 1 and 2"),
        ({"cores": 2, "steps": "5%"}, "doesn't go with --steps"),
        ({"cores": 2, "weights": "separate"}, "doesn't go with --weights"),
        ({"cores": 2, "schedule": "stream"}, "doesn't go with --schedule"),
        ({"cores": 2, "input_stream": "rows"}, "doesn't go with --input-stream"),
    ],
)
def test_what_does_not_go_together(options: dict[str, str], text: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=text):
        tinycompile.compile(model, "mps2-an521", output=tmp_path / "out", **options)  # pyright: ignore[reportArgumentType]


def test_boards_with_one_core_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no second core") as error:
        tinycompile.compile(model, "mps2-an385", output=tmp_path / "out", cores=2)
    assert "mps2-an521" in str(error.value)
    with pytest.raises(TargetError, match=r"network core .* 1\.35 to 1\.93 times as long"):
        Options.of("nrf5340", cores=2).board()
