"""Triggers: they wait in the triggerer, for a task or for an asset."""
