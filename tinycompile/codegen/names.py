"""Safe C text from untrusted names: identifiers and comments."""

from __future__ import annotations

import re

_RESERVED = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    asm typeof alignas alignof and and_eq bitand bitor bool catch class compl constexpr const_cast decltype delete
    dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr operator or or_eq
    private protected public reinterpret_cast static_assert static_cast template this thread_local throw true try
    typeid typename using virtual wchar_t xor xor_eq main memcpy memset memmove""".split()
)
_LONGEST_IDENTIFIER = 48
_LONGEST_COMMENT = 80
_LONGEST_STRING = 255


def identifier(text: str, taken: set[str], fallback: str = "layer") -> str:
    """A C and C++ identifier that resembles `text`, unique among `taken` (which it joins).

    TFLite names are paths; the last component that says something is what a person recognises.
    """
    base = re.sub(r"[^A-Za-z0-9]+", "_", text[-200:]).strip("_").lower()[-_LONGEST_IDENTIFIER:].strip("_")
    if not base:
        base = fallback
    if base[0].isdigit():
        base = f"{fallback}_{base}"
    if base in _RESERVED or base.startswith("tc_"):
        base = f"{base}_"
    return unique(base, taken)


def unique(base: str, taken: set[str]) -> str:
    """`base`, or the first of base_2, base_3 ... that isn't among `taken` (which it joins)."""
    name, count = base, 2
    while name in taken:
        name, count = f"{base}_{count}", count + 1
    taken.add(name)
    return name


def short_name(name: str) -> str:
    """What a person calls a layer: TFLite joins the paths of fused operators, "net/stem_relu/Relu;net/stem/BiasAdd"."""
    parts = [part for part in name.split(";")[0].split("/") if part]
    return parts[-2] if len(parts) > 1 else (parts[0] if parts else name)


def c_string(text: str) -> str:
    """A string literal of these characters in UTF-8, whatever they are; long ones are shortened."""
    content = text if len(text) <= _LONGEST_STRING else f"...{text[-(_LONGEST_STRING - 3) :]}"
    return '"' + "".join(map(_in_string, content.encode(errors="replace"))) + '"'


def _in_string(byte: int) -> str:
    """Three octal digits end an escape where a digit follows, and there is no trigraph without a question mark."""
    char = chr(byte)
    if char in '"\\?':
        return f"\\{char}"
    return char if " " <= char <= "~" else f"\\{byte:03o}"


def comment_text(text: str) -> str:
    """`text` in printable ASCII, unable to end or nest a comment, continue a line or form a trigraph; shortened."""
    safe = "".join(c if " " <= c <= "~" else "?" for c in text)
    safe = safe.replace("*/", "* /").replace("/*", "/ *").replace("\\", "|")
    safe = re.sub(r"\?{2,}", "?", safe)
    if len(safe) > _LONGEST_COMMENT:
        safe = f"...{safe[-(_LONGEST_COMMENT - 3) :]}"
    return safe
