"""A DNS blacklist (DNSBL) server: YAML zone files in, DNS answers out."""

# pyproject.toml reads it from here. importlib.metadata would say the same, but importing that takes a third of the
# time in which a loader process starts.
__version__ = "0.1.0"
