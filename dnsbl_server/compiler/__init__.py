"""Zones to tables."""
