"""
Find the next page, by one of dlt's paginators.

In come the option ``paginator`` and responses; out go the next request, and hints of a missed one.
"""
