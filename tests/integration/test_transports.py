"""Both transports against the contract, and against a real server."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.http.transports.requests_transport import RequestsTransport
from airflow_provider_osmosdest.testing.transport_contract import TransportContract


class TestCurlTransport(TransportContract):
    @pytest.fixture
    def make_transport(self):
        return CurlTransport


class TestRequestsTransport(TransportContract):
    @pytest.fixture
    def make_transport(self):
        def make(target, **options):
            session = requests.Session()
            session.verify = target.verify
            return RequestsTransport(target, session, **options)

        return make
