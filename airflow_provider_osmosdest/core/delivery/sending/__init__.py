"""
The two write modes: many records a request, one request at a time; or one record a request, many at a time.

In come valid records; out go requests through a transport, and an outcome for each record.
"""
