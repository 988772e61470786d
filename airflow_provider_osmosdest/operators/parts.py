"""Deliver one dataset by several tasks: planned, tried by a first part, delivered side by side, reported as one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import TaskGroup
    from airflow.sdk.definitions.context import Context

    from airflow_provider_osmosdest.core.delivery.model import PartOf, Result
    from airflow_provider_osmosdest.core.delivery.parts.plan import Plan, PlannedPart
    from airflow_provider_osmosdest.core.delivery.parts.stop_flag import StopFlag
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.operators.base import PreparedDelivery

__all__ = ["DeliverPartOperator", "MergePartsOperator", "PlanPartsOperator", "deliver_in_parts"]

_OF_DELIVER_ALONE = ("max_active_tis_per_dagrun", "max_active_tis_per_dag", "deferrable")
_OF_MERGE_ALONE = ("outlets",)


def deliver_in_parts(group_id: str, *, parts: int | str, records: Any, **options: Any) -> TaskGroup:
    """
    Deliver one dataset by several tasks at the same time, as a task group.

    Its tasks are ``plan``, which reads the files once and cuts them; ``probe``, which delivers the first 1,000 records;
    ``deliver``, mapped over the other parts; and ``merge``, whose result is the report of all of them, and which fails
    where more records than ``max_failures`` were not delivered, or a part did not come to its end.

    :param group_id: of the task group
    :param parts: how many parts to make beside the first, 1 to 1,000
    :param records: path or URL of a file, of a folder of files or with a ``*`` in it, as text, as an
        ``ObjectStoragePath`` or from an upstream task
    :param options: all that :class:`~.http_destination.HttpDestinationOperator` takes, and every operator.
        ``max_active_tis_per_dagrun`` is how many parts are delivered at once, all if left out; limits such as
        ``requests_per_second`` are divided among so many. ``outlets`` are the merge's
    :return: the task group; ``group.get_child_by_label("merge").output`` is the report
    """
    from airflow.sdk import TaskGroup, XComArg

    shared = {name: value for name, value in options.items() if name not in (*_OF_DELIVER_ALONE, *_OF_MERGE_ALONE)}
    of_parts = shared | {name: options[name] for name in _OF_DELIVER_ALONE if name in options}
    of_merge = shared | {name: options[name] for name in _OF_MERGE_ALONE if name in options}
    of_probe = shared | {name: options[name] for name in ("deferrable",) if name in options}
    with TaskGroup(group_id) as group:
        plan = PlanPartsOperator(task_id="plan", parts=parts, records=records, **shared)
        probe = DeliverPartOperator(task_id="probe", part=XComArg(plan, key=_PROBE), records=records, **of_probe)
        deliver = DeliverPartOperator.partial(task_id="deliver", records=records, **of_parts).expand(part=plan.output)
        merge = MergePartsOperator(task_id="merge", records=records, trigger_rule="all_done", **of_merge)
        plan >> probe >> deliver >> merge
        # Where a part fails, the merge says so; where the plan or the probe does, too.
        [plan, probe] >> merge
    return group


_PROBE = "probe"


class _GroupOperator(HttpDestinationOperator):
    """What the tasks of a group share: they know each other by the names that the group gives them."""

    def _folder(self, context: Context, task_id: str = "", map_index: int = -1) -> Any:
        """Return the folder of a task of the group, or of the group itself."""
        from airflow_provider_osmosdest.hooks.delivery import delivery_folder

        ti = context["ti"]
        group_id = ti.task_id.rpartition(".")[0]
        return delivery_folder((ti.dag_id, ti.run_id, f"{group_id}.{task_id}" if task_id else group_id, str(map_index)))

    def _prepared(self, context: Context) -> PreparedDelivery:
        """
        Resolve connection and parameters.

        :raises AirflowFailException: naming what cannot be used
        """
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.errors import ConfigurationError

        ti = context["ti"]
        try:
            return self._prepare((ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index)))
        except ConfigurationError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error


class PlanPartsOperator(_GroupOperator):
    """
    Cut a dataset into parts; the same ones again as long as not all of them are delivered.

    Its result is a list of what each mapped task is given.

    :param parts: how many to make beside the first
    :param kwargs: all that :class:`~.http_destination.HttpDestinationOperator` takes
    """

    template_fields: Sequence[str] = (*HttpDestinationOperator.template_fields, "parts")

    def __init__(self, *, parts: int | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = parts

    def execute(self, context: Context) -> Any:
        """
        Make the plan, or find the one of the attempts before.

        :return: what each mapped task is given
        :raises AirflowFailException: where a retry cannot help: a wrong setting, or records that are no file
        :raises SourceError: when a file cannot be read
        """
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.delivery.parts.plan import load_plan, save_plan
        from airflow_provider_osmosdest.core.delivery.parts.stop_flag import StopFlag
        from airflow_provider_osmosdest.core.errors import ConfigurationError
        from airflow_provider_osmosdest.core.storage import try_out
        from airflow_provider_osmosdest.hooks.shared_storage import check_shared

        folder = self._folder(context)
        prepared = self._prepared(context)
        try:
            check_shared(folder, "its parts would not find their plan, nor their reports meet")
            try_out(folder)
            plan = load_plan(folder)
            source = self._file_source()
            if plan is not None and not plan.complete and plan.fingerprint == source.fingerprint:
                self.log.info("Going on with the plan of the attempt before: %s.", _described(plan))
            else:
                if plan is not None and not plan.complete:
                    self.log.warning(
                        "%s has changed since an attempt before, which may have delivered some of it. Starting afresh, "
                        "so some records may be sent twice.",
                        source.description,
                    )
                plan = self._new_plan(prepared, str(source.fingerprint))
                save_plan(folder, plan)
                self.log.info("Planned %s: %s.", source.description, _described(plan))
        except ConfigurationError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error
        StopFlag(folder).lower()
        first, *others = (part.to_dict() for part in plan.parts)
        context["ti"].xcom_push(key=_PROBE, value=first)
        return others

    def _file_source(self) -> Any:
        from airflow_provider_osmosdest.core.errors import OptionsError
        from airflow_provider_osmosdest.core.records.files import FileSource
        from airflow_provider_osmosdest.hooks.delivery import source_of

        source = source_of(self.records, self.records_format, self.records_conn_id)
        if not isinstance(source, FileSource):
            msg = (
                f"records: found a {type(self.records).__name__}, and 'deliver_in_parts' cuts files. Write the records "
                "to object storage and pass the path, or deliver them in one with HttpDestinationOperator"
            )
            raise OptionsError(msg)
        return source

    def _new_plan(self, prepared: PreparedDelivery, fingerprint: str) -> Plan:
        from airflow_provider_osmosdest.core.delivery.parts.plan import Plan
        from airflow_provider_osmosdest.core.errors import OptionsError
        from airflow_provider_osmosdest.core.records.parts import plan_parts
        from airflow_provider_osmosdest.hooks.delivery import path_of

        options = prepared.delivery.options
        if options.deduplicate == "files":
            msg = (
                "deduplicate: found 'files', which goes by whole files, and 'deliver_in_parts' cuts them. Take "
                "'records', or deliver the files in one with HttpDestinationOperator"
            )
            raise OptionsError(msg)
        wanted = self.parts
        with suppress(TypeError, ValueError):
            wanted = int(wanted)
        shares = wanted if options.deduplicate != "none" else None
        parts = plan_parts(
            path_of(self.records, self.records_conn_id),
            # By their keys, all that follows the first part is shared out.
            parts=wanted,  # type: ignore[arg-type] # it is checked there
            records_format=self.records_format or None,
        )
        return Plan.of(parts, fingerprint, shares=shares)  # type: ignore[arg-type]


class DeliverPartOperator(_GroupOperator):
    """
    Deliver one part of a dataset, as a delivery of its own under the id of the whole.

    How many of its records may fail is said of the whole, so it fails only where it does not come to its end.

    :param part: what the plan gives it
    :param kwargs: all that :class:`~.http_destination.HttpDestinationOperator` takes
    """

    template_fields: Sequence[str] = (*HttpDestinationOperator.template_fields, "part")

    def __init__(self, *, part: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part
        self._flag: StopFlag | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Deliver the part.

        :return: its report's numbers and paths
        """
        from airflow_provider_osmosdest.core.delivery.parts.stop_flag import StopFlag

        self._flag = StopFlag(self._folder(context))
        return super().execute(context)

    def _sees_all(self, instance: tuple[str, ...]) -> bool:  # noqa: ARG002 - the base's signature
        return True

    def _planned(self) -> PlannedPart:
        from airflow_provider_osmosdest.core.delivery.parts.plan import PlannedPart

        return PlannedPart.from_dict(self.part)

    def _open(self, records: Any) -> Source:
        from airflow_provider_osmosdest.core.records.parts import PartSource
        from airflow_provider_osmosdest.hooks.delivery import path_of

        path = path_of(records, self.records_conn_id)
        return PartSource(path, self._planned().part, records_format=self.records_format or None)

    def _why_stop(self) -> str | None:
        return super()._why_stop() or (self._flag.why() if self._flag is not None else None)

    def _part_of(self) -> PartOf | None:
        from airflow_provider_osmosdest.core.delivery.model import PartOf

        planned, flag = self._planned(), self._flag
        assert flag is not None
        return PartOf(
            planned.delivery_id,
            lambda error: flag.stop_the_others(planned.part.number, error),
            planned.part.first_index,
            planned.share,
        )

    def _prepare(self, instance: tuple[str, ...]) -> PreparedDelivery:
        prepared = super()._prepare(instance)
        options = replace(prepared.delivery.options, max_failures=1.0)
        return replace(prepared, delivery=replace(prepared.delivery, options=options))

    def _finish(self, context: Context, result: Result) -> dict[str, Any]:
        from airflow.providers.common.compat.sdk import AirflowFailException

        if result.error is not None and self._flag is not None and self._flag.reason is not None:
            # A retry would be stopped by the same flag.
            context["ti"].xcom_push(key="return_value", value=result.report.to_xcom())
            raise AirflowFailException(f"{type(result.error).__name__}: {result.error}") from None
        return super()._finish(context, result)


class MergePartsOperator(_GroupOperator):
    """
    Put the reports and failures of all parts together, and end as one delivery would.

    :param kwargs: all that :class:`~.http_destination.HttpDestinationOperator` takes
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Merge.

        :return: the report's numbers and paths, and the number of ``parts``
        :raises AirflowFailException: when a part did not come to its end, or too many records failed
        :raises StorageError: when reports or failures cannot be read or written
        """
        from airflow.providers.common.compat.sdk import AirflowFailException

        from airflow_provider_osmosdest.core.delivery.ledger.first_failures import first_failures
        from airflow_provider_osmosdest.core.delivery.messages import ending, failure_lines
        from airflow_provider_osmosdest.core.delivery.parts.merge import merge_failures, merge_reports, read_report
        from airflow_provider_osmosdest.core.delivery.parts.plan import load_plan, save_plan
        from airflow_provider_osmosdest.core.delivery.parts.stop_flag import StopFlag
        from airflow_provider_osmosdest.core.delivery.report import write_report
        from airflow_provider_osmosdest.core.records.input import display

        ti, folder = context["ti"], self._folder(context)
        group_id = ti.task_id.rpartition(".")[0]
        plan = load_plan(folder)
        planned = ti.xcom_pull(task_ids=f"{group_id}.plan", key=_PROBE)
        if plan is None or planned is None or planned["delivery_id"] != plan.delivery_id:
            raise AirflowFailException(
                "There is no plan, and so no part was delivered: see the log of the task 'plan'."
            )
        prepared = self._prepared(context)
        options = prepared.delivery.options
        folders = [self._folder(context, "probe")]
        folders += [self._folder(context, "deliver", number) for number in range(len(plan.parts) - 1)]
        reports = [read_report(each, plan.delivery_id) for each in folders]
        there = [each for each, report in zip(folders, reports, strict=True) if report is not None]
        failures_path = merge_failures(there, folder)
        delivery = prepared.delivery
        report, error = merge_reports(
            plan,
            reports,
            allowed=options.failures_allowed,
            failures_path=failures_path,
            report_path=str(folder / "report.json"),
            first_failures=first_failures(
                folder,
                failures_path,
                key_fields=options.key_fields,
                mapping=delivery.mapping,
                redact=delivery.target.redact,
            ),
            about={
                **delivery.about,
                "source": {
                    "description": display(self.records),
                    "format": self.records_format or None,
                    "fingerprint": plan.fingerprint,
                },
            },
        )
        write_report(report, folder)
        for line in failure_lines(report, options.failures_allowed(report.read), in_task=True):
            self.log.warning(line)
        for line in ending(report, prepared.delivery.target.request_noun):
            self.log.info(line)
        if error is None:
            # The next attempt is a delivery of its own.
            save_plan(folder, replace(plan, complete=True))
        StopFlag(folder).lower()
        xcom: dict[str, Any] = report.to_xcom() | {"parts": len(plan.parts)}
        self._describe(context, self.records, prepared.destination, xcom)
        if error is not None:
            ti.xcom_push(key="return_value", value=xcom)
            raise AirflowFailException(f"{type(error).__name__}: {error}")
        return xcom


def _described(plan: Plan) -> str:
    from airflow_provider_osmosdest.core.delivery.messages import counted

    parts = counted(len(plan.parts), "part")
    return f"{counted(plan.records, 'record')} in {parts}, the first of {plan.parts[0].part.records:,}"
