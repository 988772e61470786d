"""
One delivery, from its first record to its report: what it is made of, and the run that carries it out.

In come a source, a destination and options; out go requests, and a result with a report and failure records.
"""
