"""
What a partner posts: unpacked, validated, taken once, or refused with a reason.

In come a body and its headers; out go a batch in the log and a receipt, or a rejection.
"""
