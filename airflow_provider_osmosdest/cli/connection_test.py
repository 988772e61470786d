"""The command ``airflow osmosdest test``: check a connection, and send one record where one is given."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import FAILED, exit_codes, only_document, say
from airflow_provider_osmosdest.core.delivery.one_record import Recorder, send_one
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import ConfigurationError, MailboxError
from airflow_provider_osmosdest.hooks.connections.check import check_connection, check_fields
from airflow_provider_osmosdest.hooks.delivery import TaskRequest, load_schema, source_of
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_osmosdest.core.delivery.one_record import OneRecord

__all__ = ["test_connection"]

_MEANINGS = {
    "delivered": "the API has taken the record. It was really sent: take it out there if it was only for a try",
    "duplicate": "the API says that it has the record already",
    "rejected": "the API refused the record",
    "unknown": "whether the API has taken the record is not known; ask it before the record is sent again",
    "unsent": "the API has not taken the record",
    "invalid": "the record cannot be sent",
}


def test_connection(args: Namespace) -> None:
    """Check a connection, or send one record over it; print what was found."""
    with exit_codes(), only_document() as show:
        if HttpDestinationHook.get_connection(args.conn_id).conn_type == MailboxHook.conn_type:
            show({"connection": args.conn_id, "message": _mailbox(args)})
        elif args.records is None:
            hook = HttpDestinationHook(http_conn_id=args.conn_id)
            message = check_connection(hook.connector(), hook.transport())
            say(message)
            show({"connection": args.conn_id, "message": message})
        else:
            one = _one_record(args)
            show({"connection": args.conn_id, **_document(one)})
            _tell(one)
            if one.outcome not in ("delivered", "duplicate"):
                sys.exit(FAILED)


def _mailbox(args: Namespace) -> str:
    if args.records is not None:
        msg = f"connection {args.conn_id!r} is a mailbox, and --records is for an API: publish to it from a task"
        raise ConfigurationError(msg)
    hook = MailboxHook(args.conn_id)
    hook.connector()
    works, message = hook.test_connection()
    if not works:
        raise MailboxError(message)
    say(message)
    return message


def _one_record(args: Namespace) -> OneRecord:
    hook = HttpDestinationHook(http_conn_id=args.conn_id)
    names = DeliveryOptions.names()
    request = TaskRequest(
        endpoint=args.endpoint,
        method=args.method,
        destination_schema=load_schema(args.schema) if args.schema else None,
        mapping=args.mapping,
        options={name: value for name, value in vars(args).items() if name in names},
    )
    delivery = check_fields(hook.connector(), hook.transport(), request)
    recorder = Recorder()
    source = source_of(args.records, args.records_format)
    return send_one(delivery, source, hook.transport(recorder.around), recorder, say)


def _document(one: OneRecord) -> dict[str, Any]:
    document = asdict(one)
    if one.response is not None:
        document["response"]["headers"] = [list(pair) for pair in one.response.headers]
    return document


def _tell(one: OneRecord) -> None:
    for reason in one.invalid:
        say(f"  fails the schema: {reason}")
    if one.outcome is None:
        found = "no record of the file is valid" if one.passed_over else "the file has no records"
        say(f"error: {found}, so nothing was sent.")
        return
    if one.request is None:
        say("No request went out.")
    else:
        say(f"\n{one.request}\n")
        say("No whole answer came.\n" if one.response is None else f"{one.response}\n")
    say(f"{one.outcome}: {_MEANINGS[one.outcome]}.{f' The reason: {one.reason}' if one.reason else ''}")
    say("No ledger, report or seen key is left of this: a delivery of the same file sends the record again.")
