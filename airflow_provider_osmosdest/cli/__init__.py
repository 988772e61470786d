"""
The command line, ``airflow osmosdest``.

In come arguments; out go one JSON document on stdout, lines for people on stderr, and an exit code.
"""
