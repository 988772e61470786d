"""A delivery with a token that the API refuses, which may be retried and must not be."""

from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

with DAG("wrong_token", schedule=None):
    HttpDestinationOperator(
        task_id="deliver",
        http_conn_id="wrong_token",
        endpoint="/flights",
        records=[{"flight": 1, "air_time": 2}] * 10,
        write_mode="record",
        concurrency=1,
        retries=3,
    )
