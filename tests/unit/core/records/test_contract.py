from __future__ import annotations

import csv
import io
import json

import openpyxl
import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_osmosdest.core.records import FORMATS
from airflow_provider_osmosdest.testing.readers import ReaderContract


def delimited(records, delimiter, line_end):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["id", "name", "note"], delimiter=delimiter, lineterminator=line_end)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


class TestNdjson(ReaderContract):
    format = FORMATS["ndjson"]

    def encode(self, records):
        return b"".join(json.dumps(record).encode() + b"\n" for record in records)


class TestNdjsonOfWindows(ReaderContract):
    format = FORMATS["ndjson"]

    def encode(self, records):
        return "\r\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()


class TestJson(ReaderContract):
    format = FORMATS["json"]

    def encode(self, records):
        return json.dumps(list(records), separators=(",", ":")).encode()


class TestJsonPrettyPrinted(ReaderContract):
    format = FORMATS["json"]

    def encode(self, records):
        return json.dumps(list(records), indent=2, ensure_ascii=False).encode()


class TestCsv(ReaderContract):
    format = FORMATS["csv"]

    def encode(self, records):
        return delimited(records, ",", "\r\n")

    def broken(self, data):
        return data[:-275]


class TestCsvWithSemicolons(ReaderContract):
    format = FORMATS["csv"]

    def encode(self, records):
        return delimited(records, ";", "\n")

    def broken(self, data):
        return data[:-275]


class TestTsv(ReaderContract):
    format = FORMATS["tsv"]

    def encode(self, records):
        return delimited(records, "\t", "\n")

    def broken(self, data):
        return data[:-275]


class TestParquet(ReaderContract):
    format = FORMATS["parquet"]
    streams = False
    text = False

    def encode(self, records):
        schema = pa.schema([(name, pa.string()) for name in ("id", "name", "note")])
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(records), schema), file, row_group_size=2_000)
        return file.getvalue()


class TestXlsx(ReaderContract):
    format = FORMATS["xlsx"]
    streams = False
    text = False

    def encode(self, records):
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(["id", "name", "note"])
        for record in records:
            sheet.append(list(record.values()))
        file = io.BytesIO()
        book.save(file)
        return file.getvalue()
