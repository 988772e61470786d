"""
What each type of field takes, how it is written, and the core schemas that say so to pydantic.

In come fields; out go core schemas and functions. Nothing here sees a record.
"""
