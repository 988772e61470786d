"""
Classify responses: by their verdicts, by expressions over a body, and by all sends of a chunk together.

In come responses and transport errors; out go classifications. Nothing here does I/O.
"""
