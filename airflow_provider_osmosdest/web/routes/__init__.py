"""
One router for each concern; :mod:`airflow_provider_osmosdest.web.app` puts them together.

In come requests whose token is checked; out go responses.
"""
