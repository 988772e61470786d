"""The building blocks of a mailbox's OpenAPI document; each router describes its own operations with them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest import __version__
from airflow_provider_osmosdest.core.schema.json_schema import taken_json_schema, to_json_schema
from airflow_provider_osmosdest.web.http.problems import PROBLEM_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
    from airflow_provider_osmosdest.core.schema import DestinationSchema

__all__ = [
    "CURSOR",
    "FAULT",
    "Paths",
    "answer",
    "document",
    "header",
    "operation",
    "parameter",
    "problems",
    "reference",
]

Paths = dict[str, dict[str, Any]]
"""Operations by method, by path below the mailbox."""

CURSOR: dict[str, Any] = {"type": "string", "description": "Opaque; only what this mailbox gave out is one"}
"""The schema of a cursor."""

FAULT: dict[str, Any] = {
    "type": "object",
    "required": ["index", "field", "reason"],
    "properties": {
        "index": {"type": "integer", "minimum": 0, "description": "Of the record in the body"},
        "field": {"type": ["string", "null"], "description": "The first that is wrong; null for the record as a whole"},
        "reason": {"type": "string"},
    },
}
"""The schema of what is wrong with a posted record."""

_PROBLEMS = {
    400: ("BadRequest", "A parameter, or the body, cannot be used; `parameter` names it"),
    401: ("Unauthorized", "No token that opens this mailbox: missing, malformed, wrong, expired or another mailbox's"),
    403: ("Forbidden", "The token opens this mailbox in the other direction"),
    404: ("NotFound", "There is nothing at this path"),
    406: ("NotAcceptable", "There is no such media type or content coding"),
    408: ("RequestTimeout", "The body came too slowly"),
    409: ("Conflict", "A request with the same idempotency key is being worked on"),
    410: ("Gone", "What was asked for has been purged; after a cursor, `earliest` is one to go on from"),
    413: ("ContentTooLarge", "The body is too large"),
    415: ("UnsupportedMediaType", "The body is of another type"),
    416: ("RangeNotSatisfiable", "The range begins after the end"),
    422: ("UnprocessableContent", "Records of the body cannot be taken, or its idempotency key came with another body"),
    429: ("TooManyRequests", "The token makes too many requests a second"),
    503: ("Unavailable", "Too many requests wait, or the store cannot be reached"),
}
_RETRY_AFTER = {409, 429, 503}
_ALWAYS = (401, 403, 404, 429, 503)


def reference(kind: str, name: str) -> dict[str, str]:
    """
    Return a reference to a component.

    :param kind: ``schemas`` or ``responses``
    :param name: the component
    """
    return {"$ref": f"#/components/{kind}/{name}"}


def header(description: str, *, kind: str = "string", required: bool = True) -> dict[str, Any]:
    """
    Return the description of a response's header.

    :param description: what it says
    :param kind: its type
    :param required: it is always there
    """
    return {"description": description, "required": required, "schema": {"type": kind}}


def parameter(
    name: str, schema: Mapping[str, Any], description: str, *, where: str = "query", required: bool = False
) -> dict[str, Any]:
    """
    Return the description of a parameter.

    :param name: the parameter
    :param schema: the JSON Schema of its value
    :param description: what it is for
    :param where: ``query``, ``path`` or ``header``
    :param required: it must be there
    """
    return {"name": name, "in": where, "required": required, "schema": dict(schema), "description": description}


def answer(
    description: str, content: Mapping[str, Any] | None = None, headers: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """
    Return the description of a response.

    :param description: when it is sent
    :param content: the JSON Schema of its body by media type; none for an empty one
    :param headers: its headers by name
    """
    described: dict[str, Any] = {"description": description}
    if content:
        described["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    if headers:
        described["headers"] = dict(headers)
    return described


def problems(*statuses: int) -> dict[str, Any]:
    """
    Return the descriptions of an operation's problems: those named, and those that any operation has.

    :param statuses: further ones
    """
    return {str(status): reference("responses", _PROBLEMS[status][0]) for status in sorted({*statuses, *_ALWAYS})}


def operation(
    operation_id: str,
    summary: str,
    *,
    answers: Mapping[str, Any],
    parameters: Iterable[Mapping[str, Any]] = (),
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    Return the description of an operation.

    :param operation_id: its name in clients made from the document
    :param summary: what it does
    :param answers: the descriptions of its responses by status
    :param parameters: those of its parameters
    :param body: that of its body
    """
    described: dict[str, Any] = {"operationId": operation_id, "summary": summary}
    if parameters := list(parameters):
        described["parameters"] = parameters
    if body is not None:
        described["requestBody"] = dict(body)
    return {**described, "responses": dict(answers)}


def document(settings: MailboxSettings, url: str, paths: Iterable[Paths]) -> dict[str, Any]:
    """
    Return a mailbox's document.

    :param settings: the mailbox's
    :param url: where the mailbox is
    :param paths: the operations of each router
    """
    every: Paths = {}
    for each in paths:
        for path, operations in each.items():
            every.setdefault(path, {}).update(operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Mailbox {settings.mailbox_id}",
            "version": __version__,
            "description": "An append-only log of records, fetched by cursor. Errors are problem documents (RFC 9457).",
        },
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": every,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}, **_signature(settings)},
            "schemas": {
                "Record": _record(settings, to_json_schema),
                "PostedRecord": _record(settings, taken_json_schema),
                "Problem": _PROBLEM,
            },
            "responses": {name: _problem(status, text) for status, (name, text) in _PROBLEMS.items()},
        },
    }


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; further members depend on the problem",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "parameter": {"type": "string", "description": "The parameter that cannot be used"},
        "earliest": {**CURSOR, "description": "Where to go on after an expired cursor"},
        "invalid": {"type": "integer", "description": "How many records cannot be taken"},
        "errors": {
            "type": "array",
            "description": "The first of those",
            "items": FAULT,
        },
    },
}


def _record(settings: MailboxSettings, described: Callable[[DestinationSchema], dict[str, Any]]) -> dict[str, Any]:
    if settings.schema is None:
        return {"type": "object"}
    schema = described(settings.schema)
    # The dialect stands in the document once; OpenAPI 3.1 has this one as its own.
    del schema["$schema"]
    return schema


def _signature(settings: MailboxSettings) -> dict[str, Any]:
    if not settings.signing_secrets:
        return {}
    described = "Standard Webhooks, with webhook-id and webhook-timestamp: https://www.standardwebhooks.com"
    scheme = {"type": "apiKey", "in": "header", "name": "webhook-signature", "description": described}
    return {"signature": scheme}


def _problem(status: int, description: str) -> dict[str, Any]:
    headers = {"Retry-After": header("Seconds", kind="integer")} if status in _RETRY_AFTER else None
    return answer(description, {PROBLEM_TYPE: reference("schemas", "Problem")}, headers)
