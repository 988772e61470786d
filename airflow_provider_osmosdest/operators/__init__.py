"""Operators: what DAG authors put into a DAG."""
