"""
Records that are sent together: gathered from the source, and cut when a batch is refused or too large.

In come runs of valid lines; out go batches, and the parts to try next. Nothing here does I/O.
"""
