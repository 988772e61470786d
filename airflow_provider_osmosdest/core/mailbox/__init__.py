"""Mailboxes: an append-only log of records in object storage, with readers and writers."""
