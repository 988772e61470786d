"""Read untrusted YAML as plain values, and refuse a document whose aliases would fill the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["load_yaml"]

_FREE = 100_000
"""Values that aliases may add to any document."""

_TIMES = 10
"""How many times as large as it is written a document may become by its aliases beyond that."""


def load_yaml(text: str | bytes) -> Any:
    """
    Read a YAML document.

    :raises ValueError: when it is none, or its aliases stand for far more than is written, or for themselves
    """
    import yaml  # type: ignore[import-untyped]

    try:
        loader = yaml.SafeLoader(text)
        try:
            # Between the two steps that ``safe_load`` takes: in the first an alias costs nothing, in the second a merge
            # (``<<``) copies what it names.
            node = loader.get_single_node()
            if node is None:
                return None
            _check_size(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _check_size(root: Any) -> None:
    """Count the values of a document with every alias written out; each node is looked at once."""
    sizes: dict[int, int] = {}
    under_way: set[int] = set()
    stack = [root]
    while stack:
        node = stack[-1]
        children = list(_children(node))
        if id(node) not in under_way:
            under_way.add(id(node))
            for child in children:
                if id(child) in under_way and id(child) not in sizes:
                    msg = f"an alias in line {child.start_mark.line + 1:,} stands for what it is a part of"
                    raise ValueError(msg)
            stack += [child for child in children if id(child) not in sizes]
            continue
        stack.pop()
        sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
    written, meant = len(sizes), sizes[id(root)]
    if meant > _FREE + _TIMES * written:
        msg = (
            f"{written:,} values are written in it, and its aliases (*name) would make more than "
            f"{_FREE + _TIMES * written:,} of them. Write out what they stand for, or use $ref"
        )
        raise ValueError(msg)


def _children(node: Any) -> Iterator[Any]:
    """Yield the nodes in a mapping or a sequence; a scalar has none."""
    if isinstance(node.value, str):
        return
    for entry in node.value:
        if isinstance(entry, tuple):
            yield from entry
        else:
            yield entry
