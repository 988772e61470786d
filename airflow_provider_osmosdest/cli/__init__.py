"""The command line, ``airflow osmosdest``."""
