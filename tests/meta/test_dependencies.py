"""What the package imports is what pyproject.toml says that it needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from tests.conftest import ROOT
from tests.meta.modules import PACKAGE, sources_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOR_DEVELOPERS = "dev"


def normal(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", name.strip(), maxsplit=1)[0]).lower()


def imported() -> Iterator[tuple[str, str]]:
    """(module, package) of every absolute import, also inside functions, of what is neither ours nor Python's."""
    for module, text in sources_of(ROOT / PACKAGE).items():
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for package in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {PACKAGE}:
                yield module, package


def test_every_import_is_declared() -> None:
    extras = [needs for extra, needs in PROJECT["optional-dependencies"].items() if extra != FOR_DEVELOPERS]
    declared = {normal(need) for needs in (PROJECT["dependencies"], *extras) for need in needs}
    distributions = packages_distributions()
    found = set(imported())
    assert found, "nothing was looked at"
    missing = {
        f"{module} imports {package}"
        for module, package in found
        if not declared & {normal(name) for name in distributions.get(package, [package])}
    }
    assert missing == set()
