"""Hooks: a Connection becomes a frozen core value here, and nowhere else."""
