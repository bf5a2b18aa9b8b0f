"""The sealed form of a zone."""
