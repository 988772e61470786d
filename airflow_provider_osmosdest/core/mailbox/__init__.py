"""Mailboxes: an append-only log of records in object storage, with readers and writers in many processes."""

from __future__ import annotations
