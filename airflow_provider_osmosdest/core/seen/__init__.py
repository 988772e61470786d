"""
What was delivered before, so that it is sent only once: the keys of records and the contents of files.

In come records and files; out go those that came before, and segments that keep the keys of the others.
"""
