"""The hook of the connection type ``osmos_mailbox``, which opens the mailbox of a Connection."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_osmosdest.core.errors import (
    ConfigurationError,
    ConnectorError,
    MailboxError,
    OsmosError,
    UnsupportedStoreError,
)
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.core.mailbox.log.log import TAIL_NAME
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.retention.purge import purge
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema
from airflow_provider_osmosdest.core.storage import private
from airflow_provider_osmosdest.hooks.connections.mailbox_fields import CONN_TYPE, MailboxConnector, settings_of
from airflow_provider_osmosdest.hooks.connections.masking import mask_secrets
from airflow_provider_osmosdest.hooks.delivery import source_of
from airflow_provider_osmosdest.hooks.log_filters import without_masking_warning
from airflow_provider_osmosdest.hooks.shared_storage import STORAGE_PATH, check_shared
from airflow_provider_osmosdest.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.mailbox.log.publish import Published
    from airflow_provider_osmosdest.core.mailbox.log.read import Page
    from airflow_provider_osmosdest.core.mailbox.retention.purge import Purged
    from airflow_provider_osmosdest.core.records import Source

__all__ = ["MailboxHook", "default_store", "open_mailbox"]


class MailboxHook(BaseHook):
    """
    Open a mailbox, publish and read small numbers of records; for many, use the operators.

    :param mailbox_conn_id: id of a connection of type ``osmos_mailbox``
    """

    conn_name_attr = "mailbox_conn_id"
    default_conn_name = "osmos_mailbox_default"
    conn_type = CONN_TYPE
    hook_name = "Osmos Mailbox"

    def __init__(self, mailbox_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mailbox_conn_id = mailbox_conn_id
        self._mailbox: Mailbox | None = None

    def get_conn(self) -> Mailbox:
        """Return the mailbox."""
        return self.mailbox()

    def mailbox(self) -> Mailbox:
        """
        Return the mailbox, whose store is tried out when it is first used.

        :raises ConnectorError: naming the connection and the field that cannot be used
        :raises UnsupportedStoreError: when no mailbox can be kept in that store
        :raises StorageError: when the store cannot be reached
        """
        if self._mailbox is None:
            connector = self.connector()
            try:
                self._mailbox = open_mailbox(connector)
            except UnsupportedStoreError:
                raise
            except ConfigurationError as error:
                msg = f"connection {self.mailbox_conn_id!r}: {error}"
                raise ConnectorError(msg) from error
        return self._mailbox

    def connector(self) -> MailboxConnector:
        """
        Resolve the connection, and register what is secret in it with Airflow's masker.

        :raises ConnectorError: naming the connection and the field that cannot be used
        """
        with without_masking_warning():
            conn = self.get_connection(self.mailbox_conn_id)
        try:
            connector = settings_of(conn)
        except ConfigurationError as error:
            msg = f"connection {self.mailbox_conn_id!r}: {error}"
            raise ConnectorError(msg) from None
        for secret in connector.settings.signing_secrets:
            mask_secrets((secret, secret.removeprefix("whsec_")))
        return connector

    def publish(
        self, records: Any, *, records_format: str | None = None, batch_id: str | None = None, producer: str = ""
    ) -> Published | None:
        """
        Publish records as one batch, all of them or none.

        :param records: Python values, or the path of a file
        :param records_format: the file's, where its name does not say it
        :param batch_id: identifies this publish: published again under the same, it is not added twice; by
            default it is new each time
        :param producer: name of the publisher, for people
        :return: ``None`` when there were no records, and nothing was published
        :raises MailboxError: when a record fails the mailbox's schema; nothing was published
        :raises SourceError: when the records cannot be read to their end; nothing was published
        """
        mailbox = self.mailbox()
        lines = _valid_lines(source_of(records, records_format), mailbox.settings.schema)
        first = next(lines, None)
        if first is None:
            return None
        return mailbox.publish(_chained(first, lines), batch_id=batch_id or uuid.uuid4().hex, producer=producer)

    def read(
        self,
        cursor: str | Position | None = None,
        *,
        consumer: str | None = None,
        limit: int | None = None,
        max_bytes: int | None = None,
    ) -> Page:
        """
        Read a page from a cursor, or from where a consumer stands; by default from the earliest record.

        Reading commits nothing: the same page is returned until :meth:`commit` is given its ``next``.

        :param limit: records at most; by default the connection's ``page_limit``
        :param max_bytes: bytes of NDJSON at most, unless the first record alone has more; by default the
            connection's ``page_bytes``
        :raises CursorError: when the cursor is none of this mailbox
        :raises CursorExpiredError: when what it points to was purged; it holds the earliest cursor
        """
        mailbox = self.mailbox()
        start = self._start(cursor, consumer)
        if consumer is not None:
            mailbox.consumers.note_poll(consumer)
        return mailbox.read(
            start,
            limit=limit or mailbox.settings.page_limit,
            max_bytes=max_bytes or mailbox.settings.page_bytes,
        )

    def commit(self, consumer: str, cursor: str | Cursor) -> bool:
        """
        Move a consumer to a cursor: a page's ``next``, or its text.

        :return: ``False`` when the cursor is stale, and nothing was changed
        :raises CursorError: when it is none of this mailbox
        """
        return self.mailbox().commit(consumer, cursor)

    def has_new(self, cursor: str | Position | None = None, *, consumer: str | None = None) -> bool:
        """
        Return whether there is a record after a cursor, or after where a consumer stands.

        :raises CursorError: when the cursor is none of this mailbox
        """
        mailbox = self.mailbox()
        start = self._start(cursor, consumer)
        return mailbox.has_new(start if isinstance(start, Position) else mailbox.position(start).position)

    def purge(self) -> Purged:
        """
        Delete what the connection's ``max_age`` and ``max_bytes`` no longer keep; to be called regularly.

        Batches that are due are first hidden from new readers, and deleted by a purge at least 10 minutes later.

        :return: what was deleted, and what waits
        :raises StorageError: when the store cannot be read or written; the next purge goes on
        """
        return purge(self.mailbox(), now=datetime.now(UTC))

    def _start(self, cursor: str | Position | None, consumer: str | None) -> str | Position | None:
        if consumer is None:
            return cursor
        if cursor is not None:
            msg = "cursor and consumer: found both, expected one: a consumer has its own cursor"
            raise ConfigurationError(msg)
        mailbox = self.mailbox()
        at = mailbox.standing(consumer)
        return mailbox.cursor_text(at.position, at.generation)

    def test_connection(self) -> tuple[bool, str]:
        """Try out the store: whether it can be reached, and can hold a mailbox."""
        path = "the mailbox"
        try:
            connector = self.connector()
            path = connector.path
            # The form tests under an id made up for it, whose folder is of no use.
            default = path.endswith(f"/mailboxes/{self.mailbox_conn_id}")
            path = path.rpartition("/")[0] if default else path
            store = _store(path, connector.storage_conn_id)
            _check_shared(store, connector.path)
            store.probe()
            # A store that was tried out before is not tried again, and may be out of reach now.
            store.size(TAIL_NAME)
        except OsmosError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001 - a store's client may raise anything
            return False, f"{path} cannot be opened: {type(error).__name__}: {error}"
        return True, f"{path} is reached and can hold a mailbox."


def open_mailbox(connector: MailboxConnector) -> Mailbox:
    """
    Open a mailbox, once its store has been tried out.

    :raises ConnectorError: when there is no way to such a store
    :raises ConfigurationError: when it is one machine's, and tasks run on others
    :raises UnsupportedStoreError: when no mailbox can be kept in it
    :raises StorageError: when it cannot be reached
    """
    store = _store(connector.path, connector.storage_conn_id)
    _check_shared(store, connector.path)
    store.probe()
    return Mailbox(store, connector.settings)


def default_store() -> Store:
    """
    Return the store of the mailboxes that have no path of their own, without trying it out.

    :raises ConnectorError: when there is no way to it
    """
    home = load_settings()
    return _store(home.storage_path, home.storage_conn_id)


def _store(path: str, storage_conn_id: str | None) -> Store:
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        root = private(ObjectStoragePath(path, conn_id=storage_conn_id), load_settings().group_access)
        return Store(root)
    except AirflowNotFoundException as error:
        msg = f"storage_conn_id is {storage_conn_id!r}, and there is no such connection"
        raise ConnectorError(msg) from error
    except (ImportError, ValueError) as error:
        msg = (
            f"path is {path!r}, which cannot be opened: {error}. s3:// needs apache-airflow-providers-amazon[s3fs], "
            "gs:// apache-airflow-providers-google and abfs:// apache-airflow-providers-microsoft-azure"
        )
        raise ConnectorError(msg) from error


def _check_shared(store: Store, path: str) -> None:
    own = not path.startswith(f"{load_settings().storage_path}/")
    check_shared(
        store.root,
        "what is published on one is not found by the API server, nor what a partner posts there by a task",
        "path" if own else STORAGE_PATH,
    )


def _valid_lines(source: Source, schema: DestinationSchema | None) -> Iterator[bytes]:
    validator = BulkValidator(schema or DestinationSchema.any_object())
    count = 0
    for block in source.blocks():
        validated = validator.validate(block)
        if validated.invalid:
            bad = validated.invalid[0]
            more = len(validated.invalid) - 1
            msg = (
                f"record {count + bad.position} fails the mailbox's schema: {bad.error}"
                f"{f' (and {more:,} more of those around it)' if more else ''}. Nothing was published; mend it, or "
                "take MailboxPublishOperator, which sets bad records aside"
            )
            raise MailboxError(msg)
        count += validated.count
        if validated.lines:
            yield validated.lines


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
