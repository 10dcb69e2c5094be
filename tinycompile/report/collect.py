"""Collects the facts of a build from the program and from the linked ELF."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycompile import __version__
from tinycompile.codegen.emit import Provenance
from tinycompile.codegen.program import Layer, Program, Tensor
from tinycompile.elf import sizes, worst_case_stack
from tinycompile.ir import Graph
from tinycompile.targets import Board
from tinycompile.work import Work, total, work_of

if TYPE_CHECKING:
    from tinycompile.pipeline import Options


def collect_report(
    folder: Path, program: Program, board: Board, options: Options, origin: Provenance, nominal: dict[str, Work]
) -> dict[str, Any]:
    """The content of report.json before any run; sizes in bytes.

    Args:
        nominal: the work of the model's own layers, before the passes.
    """
    measured = sizes(folder / "firmware.elf", program.weight_symbols())
    stack = worst_case_stack([folder / "build" / f"{program.model}.ci"], f"{program.model}_invoke")
    executed = work_of(program.graph)
    layers = [_layer(layer, program.graph, nominal, executed) for layer in program.layers]
    forms = Counter(layer["notes"]["requantisation"] for layer in layers if "requantisation" in layer["notes"])
    return {
        "tinycompile": __version__,
        "model": program.model,
        "target": board.name,
        "options": {
            "io": options.io,
            "optimize": options.optimize,
            "ram": options.ram,
            "layout": options.layout,
            "shapes": {name: list(shape) for name, shape in options.shapes},
        },
        "source": {"file": origin.source, "sha256": origin.sha256},
        "inputs": [_tensor(tensor, program.graph) for tensor in program.inputs],
        "outputs": [_tensor(tensor, program.graph) for tensor in program.outputs],
        "ram": {
            "arena_bytes": program.arena_bytes,
            "state_bytes": 0,
            "stack_bytes": stack,
            "total_bytes": program.arena_bytes + stack,
            "limit_bytes": board.ram.bytes,
        },
        "flash": {
            "weights_bytes": measured.weights,
            "code_bytes": measured.flash - measured.weights,
            "total_bytes": measured.flash,
            "limit_bytes": board.flash.bytes,
        },
        "macs": {"nominal": total(nominal).macs, "executed": total(executed).macs},
        "eliminated": (total(nominal) - total(executed)).as_dict(),
        "requantisation": dict(sorted(forms.items())),
        "layers": layers,
    }


def _layer(layer: Layer, graph: Graph, nominal: dict[str, Work], executed: dict[str, Work]) -> dict[str, Any]:
    sig, name = graph.signature(layer.node), layer.node.name
    saved = nominal[name] - executed[name] if name in nominal and name in executed else Work()
    return {
        "name": name,
        "op": layer.node.op.kind,
        "kernel": layer.kernel.variant,
        "notes": dict(layer.kernel.notes),
        "macs": layer.node.op.macs(sig),
        "eliminated": saved.as_dict(),
        "instructions": None,
        "instructions_estimate": layer.kernel.instructions,
        "weights_bytes": layer.kernel.constant_bytes,
        "scratch_bytes": layer.kernel.scratch_bytes,
        "function": layer.function,
        "outputs": [_tensor(tensor, graph) for tensor in layer.outputs],
    }


def _tensor(tensor: Tensor, graph: Graph) -> dict[str, Any]:
    source = graph.sources.get(tensor.name)
    quant = tensor.type.quant
    per_tensor = quant is not None and quant.is_per_tensor
    return {
        "name": tensor.name,
        "shape": list(tensor.type.shape),
        "dtype": tensor.type.dtype,
        "scale": tensor.type.scale if per_tensor else None,
        "zero_point": tensor.type.zero_point if per_tensor else None,
        "offset": tensor.offset,
        "bytes": tensor.type.bytes,
        "source_index": None if source is None else source.index,
        "source_channels": None if source is None or source.channels is None else source.channels.tolist(),
    }
