"""Operators, for DAGs that deliver, pull, publish and read records."""
