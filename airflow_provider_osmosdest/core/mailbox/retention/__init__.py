"""
Count what a mailbox holds, and purge what is old.

In come a mailbox and its settings; out go counts, and objects that are gone.
"""
