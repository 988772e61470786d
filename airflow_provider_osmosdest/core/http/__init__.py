"""
Carry HTTP requests for deliveries and pulls: transports, authorization, redirects, back-off, URLs.

In come requests and the settings of a connection; out go responses, or errors that say how far a request got.
"""
