"""Triggers: what waits in the triggerer, for a task or for an asset."""
