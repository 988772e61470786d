"""
What HTTP is, for every room that speaks it: transports, authorization, retries, URLs.

In come requests and the settings of a connection; out go responses, or errors that say how far a request got.
"""
