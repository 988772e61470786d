"""``@task.http_destination``: deliver the records that a function returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, determine_kwargs, task_decorator_factory

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow.sdk.bases.decorator import TaskDecorator
    from airflow.sdk.definitions.context import Context

__all__ = ["http_destination_task"]


class _HttpDestinationDecoratedOperator(DecoratedOperator, HttpDestinationOperator):
    """
    Call a function and deliver what it returns.

    :param python_callable: returns records, an iterator over them, or the path of a file
    :param op_args: its positional arguments (templated)
    :param op_kwargs: its keyword arguments (templated)
    """

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        # Set to the function's return value.
        *(name for name in HttpDestinationOperator.template_fields if name != "records"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **HttpDestinationOperator.template_fields_renderers,
    }
    custom_operator_name: str = "@task.http_destination"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if "records" in kwargs:
            msg = "records: @task.http_destination takes them from the function's return value; leave the argument out"
            raise TypeError(msg)
        super().__init__(python_callable=python_callable, op_args=op_args or (), op_kwargs=op_kwargs or {}, **kwargs)

    # DecoratedOperator's would call the function and return its value.
    execute = HttpDestinationOperator.execute

    def _records(self, context: Context) -> Any:
        arguments = {**context, **self.op_kwargs}
        return self.python_callable(*self.op_args, **determine_kwargs(self.python_callable, self.op_args, arguments))


def http_destination_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Make a task that delivers what the function returns.

    :param python_callable: the function
    :param kwargs: parameters of :class:`~airflow_provider_osmosdest.operators.http_destination.HttpDestinationOperator`
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=_HttpDestinationDecoratedOperator,
        **kwargs,
    )
