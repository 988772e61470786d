"""
The log of a mailbox: batches in one order, each in it once.

In come NDJSON and batch ids to publish, and cursors to read from; out go entries and pages.
"""
