"""
Mailboxes: an append-only log of records in object storage, with readers and writers in many processes.

In come records of tasks and partners, and the cursors of readers; out go pages of records, and what a purge may delete.
"""
