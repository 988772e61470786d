"""
Operators, for DAGs that deliver, pull, publish and read records.

In come parameters and the context of a task instance; out go XComs, metrics, and the error that ends the task.
"""
