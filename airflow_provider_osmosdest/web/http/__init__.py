"""
The HTTP that every route needs: negotiation, ranges, ETags, bodies within limits, problems.

In come requests; out go what they ask for, and problem documents for what cannot be.
"""
