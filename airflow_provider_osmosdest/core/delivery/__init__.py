"""Delivering: they give us records, we call their API."""
