"""`verify` writes what it compared, for which files; `bisect` finds where a firmware begins to deviate."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tinycompile
from tests.conftest import DIGITS
from tests.support.full import also
from tinycompile.cli import main
from tinycompile.errors import ToolFailedError
from tinycompile.report.layer_labels import layer_labels
from tinycompile.toolchain import make
from tinycompile.trace import TracePart, records

pytest.importorskip("ai_edge_litert", reason="verify needs LiteRT")
MODEL, SAMPLES = DIGITS / "digits_int8.tflite", DIGITS / "digits_samples.npz"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def verify(folder: Path) -> Result:
    return invoke("verify", folder, "--samples", SAMPLES, "--limit", 2)


@pytest.fixture(scope="module", params=["stream", "patch", *also("layer")])
def verified(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate") / "out"
    tinycompile.compile(MODEL, output=folder, schedule=request.param, optimize="ram")
    assert verify(folder).exit_code == 0
    return folder


@pytest.fixture
def copy(verified: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(verified, tmp_path / "out"))


def certificate(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "certificate.json").read_text())


def test_what_was_compared(verified: Path) -> None:
    found, report = certificate(verified), json.loads((verified / "report.json").read_text())
    assert found["reference"]["name"] == "LiteRT BUILTIN_REF"
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["reference"]["version"])
    assert found["samples"] == 2
    assert found["differences"] == 0
    assert found["values"] == sum(layer["values"] for layer in found["layers"])
    known = [o["name"] for layer in report["layers"] for o in layer["outputs"] if o["source_index"] is not None]
    values = sum(o["bytes"] for layer in report["layers"] for o in layer["outputs"] if o["name"] in known)
    outputs = sum(o["bytes"] for o in report["outputs"])
    assert found["tensors"] == 2 * (len(known) + 1)
    assert found["values"] == 2 * (values + outputs)  # every one of an int8 model, inside stages, too
    assert set(found["skipped"]) == {o["name"] for layer in report["layers"] for o in layer["outputs"]} - set(known)
    for kind, name in (("sources", "digits_int8.c"), ("sources", "digits_int8_weights.c"), ("elf", "firmware.elf")):
        assert found["sha256"][kind][name] == hashlib.sha256((verified / name).read_bytes()).hexdigest()
    assert found["sha256"]["model"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert report["verify"]["certificate"] == "certificate.json"


def test_a_clean_build_of_the_same_sources_is_the_same_firmware(copy: Path) -> None:
    make(copy, "clean")
    make(copy, "all", "trace")
    result = invoke("verify", copy, "--check-certificate")
    assert result.exit_code == 0, result.output
    assert "the certificate holds: 2 samples" in result.output


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("digits_int8_weights.c", "changed"),
        ("firmware.elf", "changed"),
        ("firmware_qemu.elf", "missing"),
        ("more.c", "new"),
    ],
)
def test_a_certificate_of_other_files_is_noticed(name: str, what: str, copy: Path) -> None:
    if what == "missing":
        (copy / name).unlink()
    else:
        with (copy / name).open("ab") as file:
            file.write(b"\n")
    result = invoke("verify", copy, "--check-certificate")
    assert result.exit_code == 1
    assert name in result.output
    assert what in result.output


def test_without_a_certificate(copy: Path) -> None:
    (copy / "certificate.json").write_text("{}")
    result = invoke("verify", copy, "--check-certificate")
    assert result.exit_code == 2
    assert "can't be read" in result.output
    (copy / "certificate.json").unlink()
    result = invoke("verify", copy, "--check-certificate")
    assert result.exit_code == 2
    assert "there is no certificate" in result.output
    assert invoke("verify", copy).exit_code == 2


def break_layer(folder: Path, layer: int) -> None:
    """The layer's call no longer happens."""
    code = folder / "digits_int8.c"
    start, end = (code.read_text().index(f"/* {n}: ") for n in (layer, layer + 1))
    text = code.read_text()
    call = re.search(r"^ +(?!\w+_DONE|tc_|mem|if|for)\w+\(.*?\);\n", text[start:end], re.MULTILINE | re.DOTALL)
    assert call is not None
    unreached = f"if (context == NULL) {{\n{call[0]}}}\n"
    code.write_text(text[: start + call.start()] + unreached + text[start + call.end() :])


def break_weights(folder: Path, layer: int) -> None:
    """A bit of each of the layer's constants is another."""
    report = json.loads((folder / "report.json").read_text())
    text = (folder / "digits_int8.c").read_text()
    start, end = (text.index(f"/* {n}: ") for n in (layer, layer + 1))
    array = re.search(r"digits_int8_\w+_weights", text[start:end])
    assert array is not None, report["layers"][layer]["name"]
    code = folder / "digits_int8_weights.c"
    head, body = code.read_text().split(f"{array[0]}[", 1)
    values, rest = body.split("{", 1)[1].split("}", 1)
    changed = re.sub(r"(?<![\w.])-?(0x[0-9a-fA-F]+|\d+)", lambda number: str(int(number[0], 0) ^ 0x10), values)
    code.write_text(f"{head}{array[0]}[{body.split('{', 1)[0]}{{{changed}}}{rest}")


def break_one_value(folder: Path, layer: int) -> None:
    """One value of the result is another: in the model's code, after the layer."""
    report = json.loads((folder / "report.json").read_text())
    code = folder / "digits_int8.c"
    text = code.read_text()
    hook = re.search(rf"^ +(LAYER|PART)_DONE\({layer}, (?!arena)(\w+(?: \+ \d+)?)", text, re.MULTILINE)
    assert hook is not None, report["layers"][layer]["name"]
    code.write_text(f"{text[: hook.start()]}*(uint8_t *)({hook[2]} + 5) ^= 0x40u;\n{text[hook.start() :]}")


@pytest.mark.parametrize(
    ("breaking", "layer"), [(break_layer, 3), (break_weights, 1), (break_one_value, 5), *also((break_one_value, 2))]
)
def test_bisect_finds_the_first_layer(breaking: Callable[[Path, int], None], layer: int, copy: Path) -> None:
    breaking(copy, layer)
    report = json.loads((copy / "report.json").read_text())
    np.save(copy.parent / "x.npy", np.load(SAMPLES)["input_0"][:1])
    result = invoke("bisect", copy, "--input", copy.parent / "x.npy")
    assert result.exit_code == 1, result.output
    label = layer_labels(report["layers"])[layer]
    assert f"layer {layer} of {len(report['layers'])}, {label} ({report['layers'][layer]['name']!r})" in result.output
    found = dict(re.findall(r"^  (\w+) +(.*)$", result.output, re.MULTILINE))
    shape = report["layers"][layer]["outputs"][0]["shape"]
    assert found["shape"] == f"int8[{'x'.join(map(str, shape))}]"
    index = json.loads(found["index"])
    assert all(0 <= i < n for i, n in zip(index, shape, strict=True))
    assert int(found["expected"]) != int(found["got"])


def test_differences_are_counted_and_certified(copy: Path) -> None:
    break_one_value(copy, 2)
    result = verify(copy)
    assert result.exit_code == 1
    report, found = json.loads((copy / "report.json").read_text()), certificate(copy)
    counts = {layer["name"]: layer["differences"] for layer in found["layers"]}
    assert counts[report["layers"][1]["name"]] == 0
    broken = report["layers"][2]
    assert counts[broken["name"]] == 2 or broken["stage"] is not None  # a value of each sample, in a stage of each turn
    assert counts[broken["name"]] >= 2
    assert found["differences"] == sum(counts.values()) > 2
    assert f"{found['differences']:,} of {found['values']:,} values" in result.output
    result = invoke("verify", copy, "--check-certificate")
    assert result.exit_code == 1
    assert "deviates" in result.output


def test_nothing_deviates(verified: Path) -> None:
    result = invoke("bisect", verified, "--input", SAMPLES, "--limit", 1)
    assert result.exit_code == 0, result.output
    assert "no deviation: 1 sample," in result.output


def test_parts_of_a_trace() -> None:
    whole = TracePart(0, b"\1\2", instructions=4)
    rows = [
        TracePart(1, bytes((10 * n + i) % 256 for i in range(4)), row=n, columns=2, instructions=5) for n in (-1, 0, 1)
    ]
    last = [TracePart(2, b"", instructions=3), TracePart(2, b"xy", instructions=1)]
    found = records([whole, rows[0], last[0], rows[1], rows[2], last[1]])
    assert [(r.layer, len(r.parts), r.instructions) for r in found] == [(0, 1, 4), (1, 3, 15), (2, 1, 4)]
    expected = np.array([[0, 1, 2, 3], [10, 11, 12, 13], [0, 0, 0, 0]], np.uint8).reshape(1, 3, 2, 2)
    got, known = found[1].against(expected)
    np.testing.assert_array_equal(got[0, :2].reshape(2, 4), expected[0, :2].reshape(2, 4))
    assert known[0, :2].all()
    assert not known[0, 2].any()
    two = records([TracePart(0, b"a"), TracePart(0, b"b")])  # a layer with two results
    assert [r.parts[0].data for r in two] == [b"a", b"b"]
    with pytest.raises(ToolFailedError, match="another size"):
        found[0].against(np.zeros((1, 3), np.uint8))


@pytest.mark.parametrize("order", [1, -1])
def test_a_wrong_value_stays_wrong_where_parts_overlap(order: int) -> None:
    expected = np.arange(4, dtype=np.int8).reshape(1, 1, 4, 1)
    parts = [TracePart(0, b"\0\1\2", columns=3), TracePart(0, b"\x09\2\3", column=1, columns=3)][::order]
    got, known = records(parts)[0].against(expected)
    assert got.ravel().tolist() == [0, 9, 2, 3]
    assert known.all()
