"""Pulling: we call their API, and what it says becomes records."""
