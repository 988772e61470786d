from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.options import MAX_BATCH_SIZE, DeliveryOptions
from airflow_provider_osmosdest.core.errors import OptionsError


def test_the_defaults_are_the_designs():
    options = DeliveryOptions()
    assert (options.write_mode, options.batch_size, options.on_batch_failure) == ("batch", 250_000, "split")
    assert (options.concurrency, options.max_failures) == (16, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("write_mode", "bulk"),
        ("write_mode", None),
        ("batch_format", "csv"),
        ("on_batch_failure", "ignore"),
        ("compression", "br"),
        ("batch_size", 0),
        ("batch_size", MAX_BATCH_SIZE + 1),
        ("batch_size", 10.0),
        ("batch_size", True),
        ("batch_size", "ten"),
        ("batch_size", None),
        ("max_batch_bytes", 1),
        ("max_batch_bytes", "1 MB"),
        ("concurrency", 0),
        ("concurrency", 513),
        ("max_retries", -1),
        ("max_retries", 101),
        ("systemic_after", 0),
        ("max_split_requests", 0),
        ("timeout", 0),
        ("timeout", -1.0),
        ("timeout", float("inf")),
        ("timeout", float("nan")),
        ("timeout", "60"),
        ("timeout", True),
        ("backoff", 0),
        ("max_backoff", None),
        ("item_errors", "errors[?"),
        ("item_errors", ""),
        ("item_errors", 3),
        ("success_when", "ok =="),
        ("max_failures", -1),
        ("max_failures", 1.5),
        ("max_failures", "150%"),
        ("max_failures", "-1%"),
        ("max_failures", "few"),
        ("max_failures", "1.5"),
        ("max_failures", "-0.5"),
        ("max_failures", "1.2.3"),
        ("max_failures", "."),
        ("max_failures", True),
        ("max_failures", None),
        ("max_failures", float("nan")),
        ("envelope", {"data": []}),
        ("envelope", ["$records"]),
        ("envelope", 7),
    ],
)
def test_an_error_names_the_option_and_what_was_found(name, value):
    with pytest.raises(OptionsError) as caught:
        DeliveryOptions(**{name: value})
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 1),
        ("batch_size", MAX_BATCH_SIZE),
        ("max_batch_bytes", None),
        ("max_batch_bytes", 2),
        ("concurrency", 512),
        ("max_retries", 0),
        ("timeout", 0.001),
        ("timeout", 5),
        ("item_errors", "errors[].{index: position, error: message}"),
        ("success_when", "status == 'ok'"),
        ("max_failures", 0.999),
        ("max_failures", "100%"),
    ],
)
def test_bounds_are_inside(name, value):
    assert getattr(DeliveryOptions(**{name: value}), name) == value


def test_ndjson_has_no_place_for_an_envelope():
    with pytest.raises(OptionsError, match=r"^envelope: NDJSON"):
        DeliveryOptions(batch_format="ndjson", envelope="data")
    assert DeliveryOptions(batch_format="ndjson", envelope="data", write_mode="record").envelope == "data"


@pytest.mark.parametrize(
    ("value", "read", "allowed"),
    [
        (0, 1000, 0),
        (10, 1000, 10),
        ("10", 1000, 10),
        (0.02, 1000, 20),
        ("2%", 1000, 20),
        (" 2.5% ", 1000, 25),
        (0.999, 100, 99),
        (1.0, 100, 100),
        (1, 100, 1),
        ("0.02", 1000, 20),
        (" .5 ", 1000, 500),
        ("0.0", 1000, 0),
        ("1.0", 100, 100),
        ("1", 100, 1),
        (0.02, 0, 0),
    ],
)
def test_failures_are_a_count_or_a_share(value, read, allowed):
    assert DeliveryOptions(max_failures=value).failures_allowed(read) == allowed


@given(st.integers(0, 100), st.integers(0, 10**7))
def test_per_cent_and_share_agree(per_cent, read):
    allowed = DeliveryOptions(max_failures=f"{per_cent}%").failures_allowed(read)
    assert allowed == DeliveryOptions(max_failures=per_cent / 100).failures_allowed(read)
    assert 0 <= allowed <= read


def test_names_are_the_fields_in_order():
    assert DeliveryOptions.names() == tuple(field.name for field in dataclasses.fields(DeliveryOptions))


class TestLayers:
    def test_the_first_that_says_something_wins(self):
        options = DeliveryOptions.layered(
            [{"batch_size": None, "timeout": 5.0}, {"batch_size": 10, "timeout": 7.0}, {"concurrency": 2}]
        )
        assert (options.batch_size, options.timeout, options.concurrency) == (10, 5.0, 2)

    def test_an_empty_form_field_says_nothing(self):
        assert DeliveryOptions.layered([{"write_mode": ""}, {"write_mode": "record"}]).write_mode == "record"
        assert DeliveryOptions.layered([{"envelope": ""}]).envelope is None

    def test_zero_and_false_like_values_say_something(self):
        assert DeliveryOptions.layered([{"max_retries": 0}, {"max_retries": 5}]).max_retries == 0

    def test_nothing_gives_the_defaults(self):
        assert DeliveryOptions.layered([]) == DeliveryOptions()

    def test_texts_of_a_form_become_numbers(self):
        options = DeliveryOptions.layered(
            [{"batch_size": " 50_000 ", "timeout": "2.5", "max_failures": "3%", "max_batch_bytes": "1000"}]
        )
        assert (options.batch_size, options.timeout, options.max_batch_bytes) == (50_000, 2.5, 1000)
        assert options.failures_allowed(100) == 3

    @pytest.mark.parametrize(("name", "value"), [("batch_size", "many"), ("timeout", "a while"), ("batch_size", "1.5")])
    def test_a_text_that_is_no_number_is_named(self, name, value):
        with pytest.raises(OptionsError, match=rf"^{name}: found '{value}'"):
            DeliveryOptions.layered([{name: value}])

    def test_a_name_that_is_no_option_is_refused_with_those_there_are(self):
        with pytest.raises(OptionsError, match=r"^batchsize: there is no such write option.*batch_size"):
            DeliveryOptions.layered([{"batchsize": 5}])

    def test_an_unknown_name_is_refused_even_without_a_value(self):
        with pytest.raises(OptionsError, match=r"^retries"):
            DeliveryOptions.layered([{"retries": None}])
