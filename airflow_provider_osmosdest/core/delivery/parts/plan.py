"""The plan of a delivery in parts, as a document in its folder: the same for every attempt until it is complete."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.records.parts import Part
from airflow_provider_osmosdest.core.seen.share import KeyShare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["Plan", "PlannedPart", "load_plan", "save_plan"]

_NAME = "plan.json"


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """
    What one task is given: a part, and what it shares with the others.

    :param delivery_id: of the whole, which all parts have
    :param part: the records; of a share, the whole dataset
    :param share: which of the records are this part's, ``None`` for all of them
    """

    delivery_id: str
    part: Part
    share: KeyShare | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for an XCom."""
        share = self.share
        return {
            "delivery_id": self.delivery_id,
            "part": self.part.to_dict(),
            "share": None if share is None else [share.number, share.shares, share.first],
        }

    @classmethod
    def from_dict(cls, values: Any) -> PlannedPart:
        """
        Read what :meth:`to_dict` returned.

        :raises ConfigurationError: when it cannot be that
        """
        try:
            share = values["share"]
            return cls(
                str(values["delivery_id"]),
                Part.from_dict(values["part"]),
                None if share is None else KeyShare(*map(int, share)),
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"part: found {str(values)[:200]!r}, expected what the plan of 'deliver_in_parts' returns"
            raise ConfigurationError(msg) from error


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How a dataset is cut.

    :param fingerprint: of the dataset
    :param records: how many it holds
    :param parts: what each task is given; the first goes alone
    :param complete: all of it is over, and the next attempt is a delivery of its own
    """

    fingerprint: str
    records: int
    parts: tuple[PlannedPart, ...]
    complete: bool = False

    @property
    def delivery_id(self) -> str:
        """The id of the whole."""
        return self.parts[0].delivery_id

    @classmethod
    def of(cls, parts: Sequence[Part], fingerprint: str, *, shares: int | None) -> Plan:
        """
        Make the plan of a new delivery.

        :param parts: of the dataset, in order; for ``shares`` the first, and one of all the rest
        :param fingerprint: of the dataset
        :param shares: into how many shares to cut what follows the first part by its keys, ``None`` not to
        """
        delivery_id = uuid.uuid4().hex
        first, rest = parts[0], parts[1:]
        records = sum(part.records for part in parts)
        planned = [PlannedPart(delivery_id, first)]
        if shares is None:
            planned += [PlannedPart(delivery_id, part) for part in rest]
        elif rest:
            planned += [
                PlannedPart(
                    delivery_id,
                    Part(number + 1, 0, records, first.start, rest[-1].last, None, fingerprint),
                    KeyShare(number, shares, first.records),
                )
                for number in range(shares)
            ]
        return cls(fingerprint, records, tuple(planned))


def load_plan(folder: Folder) -> Plan | None:
    """
    Return the plan of a delivery, ``None`` where it has none.

    :param folder: of the whole
    :raises StorageError: when it cannot be read, or is damaged
    """
    document = FolderLedgerStore(folder, _NAME).load()
    if document is None:
        return None
    try:
        values = json.loads(document)
        parts = tuple(PlannedPart.from_dict(each) for each in values["parts"])
        return Plan(str(values["fingerprint"]), int(values["records"]), parts, bool(values["complete"]))
    except (ValueError, KeyError, TypeError, ConfigurationError) as error:
        msg = (
            f"{folder / _NAME}, the plan of this delivery, is damaged ({error}). Restore it; or remove it and clear "
            "the plan and all after it, after which all is sent again under other keys."
        )
        raise StorageError(msg) from error


def save_plan(folder: Folder, plan: Plan) -> None:
    """
    Keep the plan of a delivery.

    :param folder: of the whole
    :raises StorageError: when it cannot be written
    """
    document = {
        "fingerprint": plan.fingerprint,
        "records": plan.records,
        "complete": plan.complete,
        "parts": [part.to_dict() for part in plan.parts],
    }
    FolderLedgerStore(folder, _NAME).save(json.dumps(document).encode())
