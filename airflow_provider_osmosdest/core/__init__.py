"""The product. Imports no airflow and no fastapi."""
