"""
The values that each field type takes, how they are written, and the pydantic core schemas for both.

In come fields; out go core schemas and functions. No record is read here.
"""
