"""Resolve references inside a JSON document: JSON pointers (RFC 6901) in a ``$ref``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from airflow_provider_osmosdest.core.errors import SchemaError

__all__ = ["resolve", "target"]


def resolve(document: Mapping[str, Any], node: Any, where: str) -> Any:
    """
    Return what a node stands for, following its ``$ref`` while it is one.

    :param document: the document in which references point
    :param node: any part of it
    :param where: what the node describes, for messages
    :raises SchemaError: where a reference leads nowhere, out of the document or in a circle
    """
    seen: list[str] = []
    while isinstance(node, Mapping) and isinstance(reference := node.get("$ref"), str):
        if reference in seen:
            raise SchemaError(f"{where}: the reference {reference!r} leads back to itself.")
        seen.append(reference)
        node = target(document, reference, where)
    return node


def target(document: Mapping[str, Any], reference: Any, where: str) -> Any:
    """
    Return the part of the document that a reference points to.

    :param document: the document in which references point
    :param reference: such as ``#/$defs/Name``
    :param where: what the reference stands for, for messages
    :raises SchemaError: where it leads nowhere or out of the document
    """
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise SchemaError(
            f"{where}: the reference {reference!r} cannot be followed, only those inside the document can, such as "
            f"'#/$defs/Name'. Bundle the document into one file first."
        )
    found: Any = document
    for step in reference.split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        else:
            raise SchemaError(f"{where}: the reference {reference!r} leads nowhere: there is no {key!r}.")
    return found
