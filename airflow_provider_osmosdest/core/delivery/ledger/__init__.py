"""
Keep the outcome of each record, so that a retried task goes on: outcomes, failures, and the ledger itself.

In come outcomes and what is about to be sent; out go durable documents, and what an earlier attempt left.
"""
