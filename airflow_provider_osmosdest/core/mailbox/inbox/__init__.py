"""
The inbox: accept what a partner posts once, or reject it with a reason.

In come a body and its headers; out go a batch in the log and a receipt, or a rejection.
"""
