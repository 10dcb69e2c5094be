"""What makes an output folder a part of other people's builds: Zephyr, Arduino, PlatformIO, or a single file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from tinycompile.codegen.names import comment_text
from tinycompile.codegen.program import Program
from tinycompile.kernels.render import render
from tinycompile.version import __version__

_QUOTED_INCLUDE = re.compile(r'^\s*#\s*include "([^"]+)"\n', re.MULTILINE)


def emit_integration(
    program: Program, values: Mapping[str, object], source: str, flags: Sequence[str] = ()
) -> dict[str, str]:
    """Metadata by relative path; the sources are those that are in the folder already.

    Args:
        values: what the templates of the project get.
        source: the model file's name.
        flags: of the compiler, that the sources need.
    """
    version = ".".join((re.findall(r"\d+", __version__) + ["0", "0", "0"])[:3])
    values = {**values, "version": version, "source": comment_text(source)}
    return {
        "library.properties": render("integration/library.properties.j2", **values),
        "library.json": _platformio(program, version, comment_text(source), flags),
        "zephyr/module.yml": render("integration/zephyr_module.yml.j2", **values),
        "zephyr/Kconfig": render("integration/zephyr_Kconfig.j2", **values),
        "zephyr/CMakeLists.txt": render("integration/zephyr_CMakeLists.txt.j2", **values),
    }


def _platformio(program: Program, version: str, source: str, flags: Sequence[str]) -> str:
    model = program.model
    library = {
        "name": model,
        "version": version,
        "description": f"{source}, compiled to C by tinycompile",
        "license": "0BSD",
        "headers": f"{model}.h",
        "frameworks": "*",
        "platforms": "*",
        "build": {
            "srcDir": ".",
            "includeDir": ".",
            "srcFilter": ["-<*>", f"+<{model}.c>", *([] if program.separate else [f"+<{model}_weights.c>"])],
            "flags": ["-ffp-contract=off", *flags],
        },
    }
    return json.dumps(library, indent=2) + "\n"


def single_file(model: str, files: Mapping[str, str]) -> dict[str, str]:
    """The model as one C file, with the kernel headers and the weights in it, beside its public header.

    Args:
        files: what `emit_model` printed.
    """
    included = {f"{model}.h"}

    def expand(name: str, folder: str) -> str:
        def replace(match: re.Match[str]) -> str:
            path = match[1] if match[1] in files else f"{folder}{match[1]}"
            if path == f"{model}.h":
                return match[0]
            if path in included:
                return ""
            included.add(path)
            inner = expand(path, path.rpartition("/")[0] + "/" if "/" in path else "")
            return f"/* ---- {path} ---- */\n{inner}\n"

        return _QUOTED_INCLUDE.sub(replace, files[name])

    header = expand(f"{model}.h", "")
    code = expand(f"{model}.c", "")
    if f"{model}_weights.c" in files:
        weights = _QUOTED_INCLUDE.sub("", files[f"{model}_weights.c"])
        code = f"{code}\n/* ---- {model}_weights.c ---- */\n{weights}"
    found = {f"single/{model}.c": code, f"single/{model}.h": header}
    if f"{model}_backend.h" in files:
        included = {f"{model}.h"}
        found[f"single/{model}_backend.h"] = expand(f"{model}_backend.h", "")
    return found
