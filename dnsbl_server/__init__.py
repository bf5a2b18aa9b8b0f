"""A DNS blacklist (DNSBL) server: YAML zone files in, DNS answers out."""

from importlib.metadata import version

__version__ = version("dnsbl-server")
