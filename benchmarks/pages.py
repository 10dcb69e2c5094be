"""Tables that a benchmark writes into a page of the documentation."""

from __future__ import annotations


def with_block(page: str, begin: str, end: str, block: str) -> str:
    """The page with other lines between the marks `begin` and the first `end` behind it; pages have several tables.

    Args:
        block: all that is between, the ends of lines beside the marks as well.

    Raises:
        ValueError: a mark is missing.
    """
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page lacks {end if found else begin}")
    return f"{before}{begin}{block}{end}{after}"
