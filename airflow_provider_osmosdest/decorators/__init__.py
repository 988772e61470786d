"""
Task decorators: an operator around a function.

In comes a function that returns records; out goes a task that delivers them.
"""
