"""
What is new since the last run: the option ``incremental``, and the watermark that runs leave each other.

In come the option, the watermark of earlier runs and records; out go the records that are new, and the next watermark.
"""
