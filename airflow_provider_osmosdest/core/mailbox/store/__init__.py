"""
The store of a mailbox: a disk or an object store that can create an object exclusively.

In come names and bytes; out go objects, or a StorageError.
"""
