"""
The transports: libcurl for many requests in flight, and ``requests`` for what libcurl cannot carry.

In come requests; out go whole responses, or errors that say how far a request got.
"""
