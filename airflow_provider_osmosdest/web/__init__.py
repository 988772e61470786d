"""The mailboxes over HTTP: mounted on Airflow's API server, or served alone."""
