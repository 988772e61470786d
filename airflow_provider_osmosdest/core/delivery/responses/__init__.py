"""
What responses mean: the table of statuses, what expressions find in a body, and what several sends tell together.

In come responses and transport errors; out go classifications. Nothing here does I/O.
"""
