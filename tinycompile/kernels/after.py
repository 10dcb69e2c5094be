"""What a linear layer's function can do with its results before it stores them: `runtime/kernels/tc_after.h`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tinycompile.dtypes import INT8
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.kernels.cover import Chain, Then, first_and_rest
from tinycompile.kernels.elementwise import SUM_IN_WORDS
from tinycompile.kernels.fused_table import FUNCTION, function_of
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.integer_forms import narrow_sum_form
from tinycompile.ops._sum import Sum
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected

_LINEAR = (Conv2D, DepthwiseConv2D, FullyConnected)

PATTERNS = (Chain(_LINEAR, Sum), Then(_LINEAR, FUNCTION))
"""For `cover_for`."""


@dataclass(frozen=True, eq=False)
class After:
    """An operator behind a linear layer.

    Attributes:
        name: what distinguishes the kernel from the layer's own.
        fields: members of a `tc_after`.
        operand: of the fused node, the tensor that is added; None where there is none, 0 for the layer's own input.
        table: the function's results.
        notes: for the report.
    """

    name: str
    fields: Fields
    operand: int | None = None
    table: Constant | None = None
    notes: Mapping[str, str] | None = None

    @property
    def clamps(self) -> bool:
        """Whether a sum is clamped to less than int8."""
        return (self.fields.get("low", -128), self.fields.get("high", 127)) != (-128, 127)

    def function(
        self,
        plain: str,
        stem: str,
        header: str,
        parameters: Sequence[str],
        shape: Struct,
        comment: str,
        blocks: Sequence[str] = (),
        preambles: Sequence[str] = (),
    ) -> Function:
        """As `struct_call` of the layer's own function `plain`.

        Its variant `<plain>_and` takes the other operand after the input, and the `tc_after` last, after the shape.

        Args:
            parameters: `input`, `output`, constants and, where the layer has any, `scratch`.
            blocks: names of block functions, which follow these.
            preambles: as in `Function`.
        """
        names = [parameter.replace("*", " ").split()[-1] for parameter in parameters]
        mine = ["const int8_t *other"] if self.operand else []
        constants = ["const int8_t *table"] if self.table else []
        end = len(parameters) - ("scratch" in names)
        declared = (parameters[0], *mine, *parameters[1:end], *constants, *parameters[end:])
        other = "table" if self.table else "other" if self.operand else "input"
        arguments = [names[0], other, *names[1:], *([] if "scratch" in names else ["NULL"]), *blocks]
        structs = (shape, Struct("tc_after", self.fields, "after"))
        return struct_call(
            f"{stem}_{self.name}", f"{plain}_and", header, declared, structs, comment, arguments, preambles
        )

    def kernel(self, layer: Kernel, function: Function, added: int, block_bytes: int) -> Kernel:
        """The layer's kernel with this behind it.

        Args:
            added: instructions.
            block_bytes: of the output, which are written before the other operand's are read: so far above the output
                that one may lie.
        """
        overlap = dict(layer.overlap)
        if self.operand == 0:
            overlap.clear()  # the input is read twice
        elif self.operand is not None:
            overlap[self.operand] = block_bytes
        return replace(
            layer,
            variant=f"{layer.variant}_{self.name}",
            function=function,
            constants=(*layer.constants, *([self.table] if self.table else [])),
            instructions=layer.instructions + added,
            overlap=overlap,
            notes={**layer.notes, **(self.notes or {})},
        )


def kernel_and_after(
    site: Site, convolution: Callable[[Site, After], Kernel | None], rows: Callable[[Site, After], Kernel | None]
) -> Kernel | None:
    """The kernel of a node fused by one of `PATTERNS`: by `rows` where its layer is fully connected."""
    found = linear_and_after(site)
    if found is None:
        return None
    layer, after = found
    return (rows if isinstance(layer.node.op, FullyConnected) else convolution)(layer, after)


def linear_and_after(site: Site) -> tuple[Site, After] | None:
    """(the linear layer, what is behind it) of a node fused by one of `PATTERNS`; None where no form is exact."""
    first, rest = first_and_rest(site)
    if first.sig.output.dtype != INT8 or rest.sig.output.dtype != INT8:
        return None
    after = _sum(site, first, rest) if isinstance(rest.node.op, Sum) else None
    if after is None and (found := function_of(rest)) is not None:
        table = Constant("table", "int8_t", found[1], "entry (uint8_t)q is the result for the layer's q")
        after = After("table", {"kind": "TC_AFTER_TABLE"}, table=table)
    return None if after is None else (first, after)


def _sum(site: Site, first: Site, rest: Site) -> After | None:
    """With a tensor of the same shape; the layer's result may be either operand."""
    op, (result,) = rest.node.op, first.node.outputs
    if not isinstance(op, Sum) or rest.sig.inputs[0].shape != rest.sig.inputs[1].shape or None not in rest.constants:
        return None
    mine = rest.node.inputs.index(result)
    other = rest.node.inputs[1 - mine]
    if other == result or rest.constants[1 - mine] is not None:
        return None
    form = narrow_sum_form(op, rest.sig)
    if form is None:
        return None
    first_factor, second_factor = (form.first, form.second) if mine == 0 else (form.second, form.first)
    numbers = {"first": first_factor, "second": second_factor, "start": form.start, "shift": form.shift}
    fields = {"kind": "TC_AFTER_SUM", **numbers, "low": op.clamp[0], "high": op.clamp[1]}
    return After("sum", fields, site.node.inputs.index(other), notes={op.kind: SUM_IN_WORDS})
