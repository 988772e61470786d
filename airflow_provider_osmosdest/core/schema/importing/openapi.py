"""Make a schema from the request body of one operation in an OpenAPI document (3.0 and 3.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import SchemaError
from airflow_provider_osmosdest.core.schema.importing.json_schema import schema_of_node
from airflow_provider_osmosdest.core.schema.importing.references import resolve

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.schema.schema import DestinationSchema

__all__ = ["schema_from_openapi"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_JSON_LINES = ("application/x-ndjson", "application/jsonl", "application/json-lines")


def schema_from_openapi(document: Mapping[str, Any] | str | bytes, operation: str) -> DestinationSchema:
    """
    Return the schema of the records that an operation takes: its JSON body, or the items of an array in it.

    :param document: the document, or its JSON or YAML text
    :param operation: method and path as the document has them, such as ``POST /customers``
    :raises SchemaError: where the document is no OpenAPI 3, has no such operation (the message lists those
        there are), or its body cannot be expressed as a schema
    """
    if isinstance(document, str | bytes):
        document = _parsed(document)
    version = document.get("openapi") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not str(version).startswith("3."):
        hint = " Convert it to OpenAPI 3 first." if isinstance(document, Mapping) and "swagger" in document else ""
        raise SchemaError(f"Expected an OpenAPI 3 document, found none: its key openapi is {version!r}.{hint}")
    operations = _operations(document)
    method, _, path = operation.strip().partition(" ")
    name = f"{method.upper()} {path.strip()}"
    if name not in operations:
        raise SchemaError(f"The OpenAPI document has no operation {name!r}; it has: {', '.join(operations) or 'none'}.")
    body = resolve(document, operations[name].get("requestBody"), name)
    if not isinstance(body, Mapping):
        with_body = [each for each, about in operations.items() if "requestBody" in about]
        raise SchemaError(f"{name} takes no request body; those that do: {', '.join(with_body) or 'none'}.")
    return schema_of_node(document, _body_schema(body, name), where=f"the body of {name}", written=True)


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        from airflow_provider_osmosdest.core.schema.importing.yaml_text import load_yaml

        try:
            return load_yaml(text)
        except (RecursionError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise SchemaError(f"The OpenAPI document cannot be read as JSON or YAML: {reason}.") from None


def _operations(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the operations by method and path, in the document's order."""
    paths = document.get("paths")
    operations: dict[str, Mapping[str, Any]] = {}
    for path, entry in paths.items() if isinstance(paths, Mapping) else ():
        item = resolve(document, entry, f"path {path!r}")
        if isinstance(item, Mapping):
            about = ((method, item[method]) for method in _METHODS if isinstance(item.get(method), Mapping))
            operations.update({f"{method.upper()} {path}": each for method, each in about})
    return operations


def _body_schema(body: Mapping[str, Any], name: str) -> Any:
    """Return the JSON Schema of a request body's JSON form."""
    content = body.get("content")
    forms = content if isinstance(content, Mapping) else {}
    for media_type, form in forms.items():
        if _is_json(str(media_type)) and isinstance(form, Mapping) and "schema" in form:
            return form["schema"]
    raise SchemaError(f"The body of {name} has no JSON form with a schema; its forms: {', '.join(forms) or 'none'}.")


def _is_json(media_type: str) -> bool:
    essence = media_type.partition(";")[0].strip().lower()
    return essence in ("application/json", "*/*", *_JSON_LINES) or essence.endswith("+json")
