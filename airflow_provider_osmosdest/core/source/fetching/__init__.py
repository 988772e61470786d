"""
Fetch one page: send its request, again where that may help, and say what the response means.

In come requests; out go whole responses with the response action that applies to them, or an error.
"""
