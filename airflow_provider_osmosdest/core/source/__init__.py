"""
Pull records from an HTTP API, into a folder and with a delivery's ledger, failures and report.

In come what to request, a schema and a folder; out go the records as parts of a file, and a result with a report.
"""
