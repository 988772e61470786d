"""
What a mailbox holds and how long: looking at the whole of it, and purging what is old.

In come a mailbox and its settings; out go counts, and objects that are gone.
"""
