"""A pull from whatever the run's configuration names."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_source import HttpSourceOperator

with DAG("pulling", schedule=None, render_template_as_native_obj=True):
    HttpSourceOperator(
        task_id="pull",
        http_conn_id="{{ dag_run.conf['connection'] }}",
        endpoint="{{ dag_run.conf['endpoint'] }}",
        query="{{ dag_run.conf['query'] }}",
        data_selector="{{ dag_run.conf['selector'] }}",
        paginator="{{ dag_run.conf['paginator'] }}",
        requests_per_second="{{ dag_run.conf['rate'] }}",
        retries=3,
        retry_delay=timedelta(seconds=1),
    )
