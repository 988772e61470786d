"""The commands of ``airflow osmosdest mailbox``: one JSON document on stdout, its explanation on stderr."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.connections import add_connection, change_access, new_connection
from airflow_provider_osmosdest.cli.console import MISUSE, exit_codes, only_document, quiet, say
from airflow_provider_osmosdest.cli.times import ago, expiry, parse_time
from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.mailbox.consumers import valid_consumer
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.retention.inventory import overview
from airflow_provider_osmosdest.core.mailbox.retention.purge import GRACE, purge
from airflow_provider_osmosdest.core.mailbox.tokens import Access, add, new_token, revoke
from airflow_provider_osmosdest.get_provider_info import get_provider_info
from airflow_provider_osmosdest.hooks.connections.mailbox_fields import CONN_TYPE, settings_of
from airflow_provider_osmosdest.hooks.delivery import load_schema
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook, open_mailbox

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_osmosdest.cli.connections import Changed
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = [
    "add_token",
    "create_mailbox",
    "list_consumers",
    "purge_mailbox",
    "revoke_token",
    "seek_consumer",
    "show_mailbox",
]

_MEBIBYTE = 2**20


def create_mailbox(args: Namespace) -> None:
    """Make the connection of a mailbox, once its store is proved to hold one."""
    with exit_codes(), only_document() as show:
        given = {
            "path": args.path,
            "storage_conn_id": args.storage_conn_id,
            "destination_schema": load_schema(args.schema).to_dict() if args.schema else None,
            "max_age": args.max_age_days,
            "max_bytes": args.max_bytes,
            "page_limit": args.page_limit,
            "on_invalid": args.on_invalid,
            "requests_per_second": args.requests_per_second,
        }
        # As the form saves it: it shows only the fields that are there.
        conn = new_connection(args.conn_id, {name: given.get(name) for name in _form_fields()})
        connector = settings_of(conn)
        tail = open_mailbox(connector).log.tail()
        add_connection(conn)
        show({"mailbox": args.conn_id, "path": connector.path, "batches_there": 0 if tail is None else tail.seq})
        say(f"Connection {args.conn_id!r} is made, and {connector.path} can hold its mailbox.")
        if tail is not None:
            say(f"It holds one already, with {tail.seq:,} batches published so far: this connection opens it.")
        say(
            "For a partner who reads from it (to one who posts, --direction write): "
            f"airflow osmosdest mailbox token add --conn-id {args.conn_id} --name NAME --direction read"
        )


def add_token(args: Namespace) -> None:
    """Make a token, show it once, and keep its SHA-256."""
    with exit_codes(), only_document() as show:
        now = datetime.now(UTC).replace(microsecond=0)
        token = new_token(args.direction)
        access = Access.of(
            token,
            name=args.name,
            direction=args.direction,
            created_at=now,
            expires_at=expiry(args.expires, now),
        )
        changed = change_access(args.conn_id, lambda kept: add(kept, access, now))
        document = access.to_dict()
        del document["sha256"]
        show({"mailbox": args.conn_id, **document, "token": token, **_to_put(changed)})
        say("This is the only time that the token is shown: what is kept of it is its SHA-256.")
        until = "" if access.expires_at is None else f" until {access.expires_at:%Y-%m-%d %H:%M} UTC"
        _tell(args.conn_id, changed, f"It opens mailbox {args.conn_id!r} to {_doing(access)}{until}")


def revoke_token(args: Namespace) -> None:
    """Take a token away."""
    with exit_codes(), only_document() as show:
        now = datetime.now(UTC)
        changed = change_access(args.conn_id, lambda kept: revoke(kept, args.name))
        show(
            {"mailbox": args.conn_id, "revoked": args.name, "tokens": _tokens(changed.access, now), **_to_put(changed)}
        )
        _tell(args.conn_id, changed, f"Token {args.name!r} opens nothing any more, on servers within some 5 seconds")


def show_mailbox(args: Namespace) -> None:
    """Show what a mailbox holds and who reads it."""
    with exit_codes(), only_document() as show:
        now = datetime.now(UTC)
        mailbox = _opened(args.conn_id)
        seen = overview(mailbox)
        consumers = _consumers(mailbox)
        show(
            {
                "mailbox": args.conn_id,
                "path": str(mailbox.store.root),
                "batches": seen.batches,
                "records": seen.records,
                "bytes": seen.bytes,
                "earliest": seen.earliest,
                "tail": seen.tail,
                "oldest_at": seen.oldest,
                "newest_at": seen.newest,
                "waiting_for_purge": seen.waiting,
                "stray_bytes": seen.stray_bytes,
                "tokens": _tokens(mailbox.settings.access, now),
                "consumers": consumers,
            }
        )
        newest = f", the newest {ago(datetime.fromisoformat(seen.newest), now)}" if seen.newest else ""
        say(f"{seen.records:,} records in {seen.batches:,} batches, {_size(seen.bytes)}{newest}.")
        _say_lags(consumers, now)


def list_consumers(args: Namespace) -> None:
    """Show where each consumer stands."""
    with exit_codes(), only_document() as show:
        consumers = _consumers(_opened(args.conn_id))
        show(consumers)
        _say_lags(consumers, datetime.now(UTC))


def seek_consumer(args: Namespace) -> None:
    """Move a consumer to another position."""
    with exit_codes(), only_document() as show:
        if not valid_consumer(args.consumer):
            msg = f"--consumer: found {args.consumer!r}, expected 1 to 64 letters, digits, dots, hyphens or underscores"
            raise ConfigurationError(msg)
        mailbox = _opened(args.conn_id)
        before = mailbox.consumers.committed(args.consumer)
        position = _position(mailbox, args.to)
        mailbox.consumers.seek(args.consumer, position)
        show(_consumer(mailbox, args.consumer))
        lag = mailbox.lag(position)
        say(f"{args.consumer!r} goes on at batch {position.seq:,}: {lag:,} records from there to the end.")
        if before is None:
            say("It had never committed before; if that is a surprise, look for a slip in its name.")
        else:
            say("What it was handed before this has no effect if it is committed now.")


def purge_mailbox(args: Namespace) -> None:
    """Delete what is too old or too much."""
    with exit_codes(), only_document() as show:
        mailbox = _opened(args.conn_id)
        purged = purge(mailbox, now=datetime.now(UTC), dry_run=args.dry_run)
        show({"mailbox": args.conn_id, "dry_run": args.dry_run, **asdict(purged)})
        settings = mailbox.settings
        if settings.max_age is None and settings.max_bytes is None:
            say(f"Connection {args.conn_id!r} sets neither max_age nor max_bytes, so every batch is kept.")
        if purged.batches or purged.leftovers:
            done = "would be" if args.dry_run else "are"
            leftovers = f", and {purged.leftovers:,} leftovers" if purged.leftovers else ""
            say(f"{purged.batches:,} batches, {_size(purged.bytes)}{leftovers}, {done} deleted.")
        else:
            say("There is nothing to delete now.")
        if purged.waiting:
            say(
                f"{purged.waiting:,} batches, {_size(purged.waiting_bytes)}, {'would be' if args.dry_run else 'are'} "
                "out of reach of new readers, and go with the first purge that comes "
                f"{GRACE.total_seconds() / 60:.0f} minutes later."
            )


def _form_fields() -> list[str]:
    """Return the names of the connection form's fields, in its order."""
    info: Any = get_provider_info()
    (form,) = (kind for kind in info["connection-types"] if kind["connection-type"] == CONN_TYPE)
    return list(form["conn-fields"])


def _opened(conn_id: str) -> Mailbox:
    with quiet():
        return MailboxHook(conn_id).mailbox()


def _tokens(access: tuple[Access, ...], now: datetime) -> list[dict[str, Any]]:
    return [
        {**{name: value for name, value in each.to_dict().items() if name != "sha256"}, "live": each.live(now)}
        for each in access
    ]


def _to_put(changed: Changed) -> dict[str, Any]:
    """Return what the user has to put into a connection that this command cannot change."""
    return {} if changed.elsewhere is None else {"access": [each.to_dict() for each in changed.access]}


def _tell(conn_id: str, changed: Changed, done: str) -> None:
    if changed.elsewhere is None:
        say(f"{done}.")
        return
    say(
        f"error: connection {conn_id!r} is in {changed.elsewhere}, which this command cannot change. Put the list "
        f'"access" printed above into its extra, in place of the one that may be there. Until then nothing has changed.'
    )
    sys.exit(MISUSE)


def _doing(access: Access) -> str:
    return "fetch records" if access.direction == "read" else "send records"


def _consumers(mailbox: Mailbox) -> list[dict[str, Any]]:
    return [_consumer(mailbox, name) for name in mailbox.consumers.names()]


def _consumer(mailbox: Mailbox, name: str) -> dict[str, Any]:
    committed = mailbox.consumers.committed(name)
    polled = mailbox.consumers.polled(name)
    earliest = mailbox.log.earliest(fresh=True)
    position = Position(earliest) if committed is None else committed.position
    return {
        "name": name,
        "batch": None if committed is None else position.seq,
        "record": None if committed is None else position.offset,
        "lag": mailbox.lag(position),
        "expired": position.seq < earliest,
        "polled_at": None if polled is None else polled.isoformat(timespec="seconds"),
    }


def _say_lags(consumers: list[dict[str, Any]], now: datetime) -> None:
    for each in consumers:
        polled = each["polled_at"]
        asked = f"asked {ago(datetime.fromisoformat(polled), now)}" if polled else "has never asked over HTTP or a hook"
        lag = f"{each['lag']:,} records behind" if each["lag"] else "up to date"
        lost = ", and what it would read next was purged: seek it to earliest" if each["expired"] else ""
        never = ", has committed nothing yet" if each["batch"] is None else ""
        say(f"{each['name']}: {lag}, {asked}{never}{lost}.")


def _position(mailbox: Mailbox, to: str) -> Position:
    if to == "earliest":
        return Position(mailbox.log.earliest(fresh=True))
    if to == "latest":
        tail = mailbox.log.tail()
        return Position(1 if tail is None else tail.seq + 1)
    return mailbox.log.at_time(parse_time(to, "--to"))


def _size(size: int) -> str:
    return f"{size:,} bytes" if size < _MEBIBYTE else f"{size / _MEBIBYTE:,.1f} MB"
