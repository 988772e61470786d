"""The sensor that waits for records in a mailbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.bases.sensor import PokeReturnValue

from airflow_provider_osmosdest.triggers.polling import POLL_INTERVAL, open_mailbox, records_waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context

__all__ = ["MailboxSensor"]


class MailboxSensor(BaseSensorOperator):
    """
    Wait until enough records wait for a consumer.

    Its XCom is ``{"mailbox", "consumer", "records"}``. It commits nothing: the records are still there to be read.

    :param mailbox_conn_id: id of a connection of type ``osmos_mailbox``
    :param consumer: the consumer for which they must wait
    :param min_records: how many must wait
    :param deferrable: wait in the triggerer, without a worker slot
    :param poll_interval: seconds between two polls at most; ``poke_interval`` applies where it is not deferrable
    """

    template_fields: Sequence[str] = ("mailbox_conn_id", "consumer", "min_records")
    ui_color = "#e3ecd9"

    def __init__(
        self,
        *,
        mailbox_conn_id: str = "osmos_mailbox_default",
        consumer: str,
        min_records: int | str = 1,
        deferrable: bool = True,
        poll_interval: float = POLL_INTERVAL,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mailbox_conn_id = mailbox_conn_id
        self.consumer = consumer
        self.min_records = min_records
        self.deferrable = deferrable
        self.poll_interval = poll_interval

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """
        Count the waiting records once.

        :raises AirflowFailException: where trying again cannot help: a wrong setting
        """
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.errors import ConfigurationError

        try:
            least = self._least()
            records = records_waiting(open_mailbox(self.mailbox_conn_id), self.consumer)
        except ConfigurationError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error
        found = {"mailbox": self.mailbox_conn_id, "consumer": self.consumer, "records": records}
        return PokeReturnValue(records >= least, found)

    def execute(self, context: Context) -> Any:
        """Wait, in the triggerer if deferrable."""
        if not self.deferrable:
            return super().execute(context)
        # In the worker first: a wrong setting fails at once, and what is there already needs no triggerer.
        seen = self.poke(context)
        if not seen.is_done:
            self._wait()
        return seen.xcom_value

    def take_event(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - Airflow's
        """Return the trigger's event."""
        return event

    def _wait(self) -> None:
        from datetime import timedelta

        from airflow_provider_osmosdest.triggers.mailbox import MailboxTrigger

        trigger = MailboxTrigger(self.mailbox_conn_id, self.consumer, self._least(), self.poll_interval)
        self.defer(trigger=trigger, method_name="take_event", timeout=timedelta(seconds=self.timeout))

    def _least(self) -> int:
        from airflow_provider_osmosdest.core.whole_numbers import whole_number

        return whole_number("min_records", self.min_records)
