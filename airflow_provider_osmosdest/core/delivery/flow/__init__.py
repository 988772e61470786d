"""
How fast requests may start, and when a delivery stops.

In come classified responses and the time; out go how many may start, how long to wait, and the error to stop with.
"""
