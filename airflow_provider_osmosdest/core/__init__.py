"""
The product. Imports no airflow and no fastapi.

In come frozen values and path objects, which ``hooks`` makes; out go requests, documents in storage and results.
"""
