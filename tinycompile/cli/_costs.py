"""What `cost` prints."""

from __future__ import annotations

from collections.abc import Iterator

from tinycompile.costing import Cost
from tinycompile.report.weights import by_bits


def cost_lines(name: str, found: Cost) -> Iterator[str]:
    """For people: what fits, and which figures are estimates."""
    yield f"{name} for {found.target}: {'fits' if found.fits else 'does not fit'}, " + (
        "as compiled"
        if found.compiled
        else f"by {'estimates' if found.measured_layers < len(found.layers) else 'measures of its layers'}"
    )
    if found.assumed:
        yield "  assumed quantised to int8, as no samples say more (--calib): scales and weights are typical ones"
    yield f"  RAM    {found.ram_bytes:,} of {found.ram_limit_bytes:,} bytes: arena {found.arena_bytes:,}, scratch " + (
        f"{found.scratch_bytes:,}, states {found.state_bytes:,}, stack at most about {found.stack_estimate_bytes:,}"
    )
    code, weights = found.fast_code_estimate_bytes, found.fast_weights_estimate_bytes
    if code or weights:
        yield f"         of it copies in faster memory: code about {code:,}, weights about {weights:,}"
    yield f"  flash  {found.flash_bytes:,} of {found.flash_limit_bytes:,} bytes: weights {found.weights_bytes:,}, " + (
        f"code about {found.code_estimate_bytes:,}"
    )
    bits = ", ".join(by_bits((layer.weight_bits, layer.weights_bytes) for layer in found.layers))
    if bits:
        yield f"         {bits}"
    yield f"  work   about {found.instructions:,} instructions for {found.macs:,} MACs, executed by {found.schedule}"
    if found.measured_layers:
        estimated = len(found.layers) - found.measured_layers
        low, high = found.instructions_range
        span = f"; {estimated} estimated: {low:,} to {high:,} instructions" if estimated else ", code and stack as well"
        yield f"         {found.measured_layers} layers measured{span}"
    if found.widths:
        yield f"  {'width':>7} {'arena':>9} {'constants':>9} {'shared':>9} {'instructions':>13}"
    for width in found.widths:
        yield (
            f"  {width.percent:>5g} % {width.arena_bytes:>9,} {width.weights_bytes:>9,} {width.shared_bytes:>9,} "
            f"{width.instructions:>13,}"
        )
    if found.fastest_milliseconds is not None and found.slowest_milliseconds is not None:
        low, high = found.waiting_cycles
        cycles = f"{high:,}" if low == high else f"{low:,} to {high:,}"
        waiting = f"{cycles} cycles of waiting for memories" if high else "no waiting for memories"
        span = f"{found.fastest_milliseconds:,.3f} to {found.slowest_milliseconds:,.3f} ms"
        rate = "{:g} to {:g} cycles per instruction".format(*found.cycles_per_instruction)
        yield f"  time   {span} at {found.clock_hz / 1e6:g} MHz: {rate}, {waiting}"
