"""Import the parts of dlt that a pull uses, and not before it needs them: that takes 0.4 s and 60 MB."""

from __future__ import annotations

from typing import Any

from airflow_provider_osmosdest.core.errors import MissingExtraError

__all__ = ["jsonpath", "paginators"]


def paginators() -> Any:
    """
    Return dlt's module of paginators.

    :raises MissingExtraError: when dlt is not installed
    """
    try:
        from dlt.sources.helpers.rest_client import paginators as module
    except ImportError as error:
        raise MissingExtraError("paging through an API", "source") from error
    return module


def jsonpath() -> Any:
    """
    Return dlt's module of JSONPath.

    :raises MissingExtraError: when dlt is not installed
    """
    try:
        from dlt.common import jsonpath as module
    except ImportError as error:
        raise MissingExtraError("JSONPath", "source") from error
    return module
