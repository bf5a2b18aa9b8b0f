"""Sockets and threads."""
