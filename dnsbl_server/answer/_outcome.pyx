"""The numbers of the outcomes of a query, which the compiled modules answer and count with.

Owns their order. What each means, and its name, is `respond.Outcome`, which must have the same ones.
"""
