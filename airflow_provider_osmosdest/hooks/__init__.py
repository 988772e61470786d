"""Hooks: convert an Airflow Connection to a frozen core value, which is done nowhere else."""
