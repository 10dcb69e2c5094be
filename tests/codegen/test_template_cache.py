"""Compiled templates are kept between runs, and nothing depends on that they can be."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import jinja2
import pytest

from tinycompile.kernels.render import Later
from tinycompile.template_cache import compiled_templates


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> jinja2.BytecodeCache:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = compiled_templates.__wrapped__()
    assert found is not None
    return found


def rendered(cache: jinja2.BytecodeCache | None, text: str) -> str:
    loader = jinja2.DictLoader({"page": text})
    return jinja2.Environment(loader=loader, bytecode_cache=cache, autoescape=True).get_template("page").render(x=2)


def test_an_edited_template_is_compiled_anew(cache: jinja2.BytecodeCache, tmp_path: Path) -> None:
    assert [rendered(cache, text) for text in ("{{ x }}", "{{ x }}", "<{{ x }}>")] == ["2", "2", "<2>"]
    assert list(tmp_path.rglob("__tinycompile_*.cache"))


def test_a_full_disk_costs_time_only(cache: jinja2.BytecodeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jinja2.FileSystemBytecodeCache, "dump_bytecode", full)
    assert rendered(cache, "{{ x + 1 }}") == "3"


def test_a_damaged_entry_is_compiled_anew(cache: jinja2.BytecodeCache, tmp_path: Path) -> None:
    rendered(cache, "{{ x }}")
    for entry in tmp_path.rglob("__tinycompile_*.cache"):
        entry.write_bytes(entry.read_bytes()[:-7])
    assert rendered(cache, "{{ x }}") == "2"


def test_later_is_rendered_when_it_is_read() -> None:
    missing = Later("kernels/there_is_none.c.j2")
    with pytest.raises(jinja2.TemplateNotFound):
        str(missing)
    one, same = (Later("kernels/concatenation.c.j2", outer=1, parts=[]) for _ in range(2))
    assert one == same == str(one)
    assert len({one, same}) == 1
