"""Read Parquet: typed columns, in row groups."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import MissingExtraError, SourceError
from airflow_provider_osmosdest.core.records.input import PARQUET_MAGIC, reason
from airflow_provider_osmosdest.core.records.rows import check_header
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_ROWS, Rows
from airflow_provider_osmosdest.core.schema.validation.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.core.records.input import Input

__all__ = ["read_parquet", "row_groups"]

_BUFFER_BYTES = 1024 * 1024


def read_parquet(source: Input) -> Iterator[Rows]:
    """
    Yield the rows of a Parquet file in blocks, as Python values (decimals, dates, lists, objects ...).

    Times are brought from nanoseconds to microseconds, the finest that Python has, by cutting the digits off.

    :raises MissingExtraError: pyarrow is not installed
    :raises SourceError: the file is not Parquet, or damaged, or two of its columns have one name
    """
    done = 0
    with _table(source) as table:
        import pyarrow as pa

        from airflow_provider_osmosdest.core.records.readers.arrow_columns import column_reader, types_of

        schema = table.schema_arrow
        check_header(schema.names, source.name)
        target = pa.schema([field.with_type(_microseconds(field.type)) for field in schema])
        columns = [column_reader(kind) for kind in target.types]
        try:
            for batch in _batches(table, *source.rows):
                exact = batch if target == schema else batch.cast(target, safe=False)
                cells = [read(column) for read, column in zip(columns, exact.columns, strict=True)]
                types = [types_of(column) for column in exact.columns]
                yield Rows(Table(schema.names, cells, types=types))
                done += exact.num_rows
                source.share = done / table.metadata.num_rows
        except SourceError:
            raise
        except Exception as e:  # pyarrow passes on what the store's library raises
            raise _unreadable(source, done, e) from e


def row_groups(source: Input) -> list[tuple[int, int]]:
    """
    Return the bytes, as stored, and the number of rows of each row group; only the file's footer is read.

    :raises MissingExtraError: pyarrow is not installed
    :raises SourceError: the file is not Parquet, or damaged
    """
    with _table(source) as table:
        groups = [table.metadata.row_group(number) for number in range(table.metadata.num_row_groups)]
        return [
            (sum(group.column(at).total_compressed_size for at in range(group.num_columns)), group.num_rows)
            for group in groups
        ]


@contextmanager
def _table(source: Input) -> Iterator[Any]:
    try:
        from pyarrow import parquet as pq
    except ImportError as e:
        raise MissingExtraError(f"Reading Parquet ({source.name})", "parquet") from e
    with source.seekable(PARQUET_MAGIC, "Parquet") as file:
        try:
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        except Exception as e:  # pyarrow passes on what the store's library raises
            raise _unreadable(source, 0, e) from e
        yield table


def _batches(table: Any, start: int, stop: int | None) -> Iterator[Any]:
    """Yield the rows from ``start`` to ``stop``, reading no row group that holds none of them."""
    stop = table.metadata.num_rows if stop is None else stop
    groups = []
    at = skipped = 0
    for number in range(table.metadata.num_row_groups):
        after = at + table.metadata.row_group(number).num_rows
        if after <= start:
            skipped = after
        elif at < stop:
            groups.append(number)
        at = after
    at = skipped
    for batch in table.iter_batches(batch_size=BLOCK_ROWS, row_groups=groups, use_threads=False):
        first, last = max(0, start - at), min(batch.num_rows, stop - at)
        at += batch.num_rows
        if first < last:
            yield batch.slice(first, last - first)
        if at >= stop:
            return


def _unreadable(source: Input, done: int, error: Exception) -> SourceError:
    return SourceError(
        f"{source.name}: cannot be read as Parquet after row {done:,}: {reason(error)}. Fetch or write the file again."
    )


def _microseconds(kind: Any) -> Any:
    """Return an Arrow type with every nanosecond in it made a microsecond."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_struct(kind):
        return pa.struct([field.with_type(_microseconds(field.type)) for field in kind])
    if types.is_list(kind) or types.is_large_list(kind):
        make = pa.list_ if types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_microseconds(kind.value_type)))
    if types.is_map(kind):
        return pa.map_(kind.key_field, kind.item_field.with_type(_microseconds(kind.item_type)))
    if getattr(kind, "unit", None) != "ns":
        return kind
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    return pa.time64("us") if types.is_time64(kind) else pa.duration("us")
