"""
A delivery that several tasks share: its plan, the flag by which one part stops the others, and the report of all.

What is here is kept in the folder of the whole. Each part is a delivery of its own, with ledger, report and failures
file in a folder of its own; its records have the indexes that they have in the whole dataset.
"""

from __future__ import annotations
