"""
Where a mailbox lies: a disk or an object store, with one operation that only one of several writers wins.

In come names and bytes; out go objects, or a StorageError.
"""
