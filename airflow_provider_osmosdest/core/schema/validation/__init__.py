"""
Validation in bulk: blocks of records against a schema.

In come blocks of JSON text or rows; out go the valid records as lines of JSON, and the invalid ones with their errors.
"""
