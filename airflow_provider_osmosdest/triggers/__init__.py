"""
Triggers: they wait in the triggerer, for a task or for an asset.

In come a mailbox and a consumer; out go events, without records.
"""
