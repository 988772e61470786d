"""
What HTTP is, for all rooms: the interface of a transport, authorization, redirects, waits, URLs, verdicts.

In come requests, responses and the settings of a connection; out go headers, waits, verdicts and advice.
"""
