"""
The mailboxes over HTTP: mounted on Airflow's API server, or served alone.

In come requests with a token or a signature; out go pages of records, receipts and problem documents.
"""
