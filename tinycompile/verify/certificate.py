"""`certificate.json`: what was compared with which reference, and the SHA-256 of every file that this holds for.

It isn't signed: it shows that files and comparison belong together, not who made it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinycompile.build import Build
from tinycompile.errors import MismatchError, UsageError
from tinycompile.ir import Array
from tinycompile.report.document import CERTIFICATE, replace_file
from tinycompile.toolchain import version
from tinycompile.verify.outcome import Verification
from tinycompile.version import __version__

_SOURCES = (".c", ".h", ".s", ".S", ".ld")
_NOT_COMPILED = {"build", "single", "source"}


FORMAT = 2
"""1, which has no such key, compared ONNX models with tinycompile's own import of them."""


def certificate_of(
    build: Build, samples: Sequence[Array], result: Verification, steps: int = 0, device: str | None = None
) -> dict[str, Any]:
    """The certificate of a comparison; keys are a public interface.

    Args:
        steps: of each sequence; 0: all are one.
        device: a board that ran its console firmware; None for QEMU, or this machine where the build is for it.
    """
    digest = hashlib.sha256()
    for array in samples:
        digest.update(array.tobytes())
    first = result.difference
    return {
        "format": FORMAT,
        "tinycompile": __version__,
        "model": build.model,
        "target": build.report["target"],
        "reference": {"name": result.witnesses[0].name, "version": result.witnesses[0].version},
        "match": build.match,
        "references": [asdict(witness) for witness in result.witnesses],
        "executed_in": device or ("this machine" if build.board.is_host else f"QEMU's {build.emulated.name}"),
        "tools": _tools(build, emulated=device is None and not build.board.is_host),
        "samples": result.samples,
        "sequence_steps": steps or (result.samples if build.report["ram"]["state_bytes"] else None),
        "declared_states": build.report["options"].get("states", {}),
        "tensors": result.tensors,
        "values": result.values,
        "differences": result.differences,
        "ties": result.ties,
        "within_bound": result.bounded,
        "float_error": result.error,
        "first_difference": None if first is None else first.describe(),
        "sha256": {**_hashes(build), "samples": digest.hexdigest()},
        "layers": [
            {
                "name": layer.name,
                "values": layer.values,
                "equal": layer.values - layer.differences - layer.ties - layer.bounded,
                "ties": layer.ties,
                "within_bound": layer.bounded,
                "differences": layer.differences,
                "float_error": layer.error,
                "reference": layer.by,
            }
            for layer in result.layers
        ],
        "skipped": list(result.skipped),
        "ranges": None if result.clipping is None else result.clipping.as_dict(),
    }


def save_certificate(build: Build, certificate: dict[str, Any]) -> None:
    """Write it in one step, beside the report; those of other models in the same firmware stay."""
    path = build.folder / CERTIFICATE
    document = certificate
    if build.report["io_prefix"]:  # of several models
        document = {"models": [*(e for e in _entries(build.folder) if e["model"] != build.model), certificate]}
    replace_file(path, json.dumps(document, indent=2) + "\n")


def load_certificate(folder: Path, model: str) -> dict[str, Any]:
    """The certificate of a model.

    Raises:
        UsageError: there is none, or it can't be read.
    """
    for entry in _entries(folder):
        if entry["model"] == model:
            return entry
    raise UsageError("there is no certificate", where=f"{folder}, {model}", hint="`tinycompile verify` writes it")


def check_certificate(build: Build) -> dict[str, Any]:
    """The certificate, if it says that nothing differed and the files are still those that it was made of.

    Raises:
        UsageError: as `load_certificate`; or an older tinycompile wrote it, which asked other references.
        MismatchError: it reports differences, or a file was changed, removed or added.
    """
    certificate = load_certificate(build.folder, build.model)
    if certificate.get("format") != FORMAT:
        raise UsageError(
            "the certificate is of another version of tinycompile",
            where=str(build.folder / CERTIFICATE),
            why="before format 2 ONNX models were compared with tinycompile's own reading of them, which proves little",
            hint="`tinycompile verify` compares again and writes a new one",
        )
    changes = list(_changes(certificate["sha256"], _hashes(build)))
    if changes:
        raise MismatchError(
            "the certificate doesn't hold for these files",
            where=str(build.folder / CERTIFICATE),
            why="; ".join(changes),
            hint="`tinycompile verify` compares again and writes a new one",
        )
    if certificate["differences"]:
        raise MismatchError(
            "the certificate says that the firmware deviates from the reference",
            where=str(build.folder / CERTIFICATE),
            why=certificate["first_difference"],
            hint="`tinycompile bisect` shows where it begins",
        )
    return certificate


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / CERTIFICATE
    try:
        document = json.loads(path.read_text())
        entries = document.get("models", [document])
        if not all({"model", "sha256", "differences"} <= entry.keys() for entry in entries):
            raise ValueError("the keys `model`, `sha256` and `differences` are missing")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, AttributeError) as error:
        hint = "remove it; `tinycompile verify` writes a new one"
        raise UsageError("the certificate can't be read", where=str(path), why=str(error), hint=hint) from error
    return entries


def _hashes(build: Build) -> dict[str, Any]:
    folder = build.folder
    sources = [
        path
        for path in folder.rglob("*")
        if (path.suffix in _SOURCES or path.name == "Makefile" or path == build.weights)
        and path.relative_to(folder).parts[0] not in _NOT_COMPILED
    ]
    images = [*folder.glob("firmware.elf"), *folder.glob("firmware_qemu.elf"), *folder.glob("firmware_trace.elf")]
    return {
        "model": _sha256(build.source) if build.source.exists() else "",
        "sources": {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(sources)},
        "elf": {path.name: _sha256(path) for path in sorted([*images, *folder.glob("lib*.so")])},
    }


def _changes(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    if then["model"] != now["model"]:
        yield "the model was changed"
    for kind in ("sources", "elf"):
        for name in sorted({*then[kind], *now[kind]}):
            if name not in now[kind]:
                yield f"{name} is missing"
            elif name not in then[kind]:
                yield f"{name} is new"
            elif then[kind][name] != now[kind][name]:
                yield f"{name} was changed"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _tools(build: Build, *, emulated: bool) -> dict[str, str]:
    tools = {"compiler": version(build.board.compiler, build.board.toolchain)}
    if emulated:
        tools["emulator"] = version(build.emulated.toolchain.emulator, build.emulated.toolchain)
    return tools
