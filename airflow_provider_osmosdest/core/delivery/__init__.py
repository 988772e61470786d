"""
Deliver the records of a source to one destination, from the first record to the report.

In come a source, a destination and options; out go requests, and a result with a report and failure records.
"""
