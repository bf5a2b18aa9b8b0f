"""Provenance: whose data a list or a source has, and where to ask.

Owns these four texts. Knows nothing of where they are written and shown.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who publishes data, by which rules (a URL), whom to ask, and where a removal is asked for; empty where unsaid."""

    publisher: str = ""
    policy: str = ""
    contact: str = ""
    removal_url: str = ""

    def or_else(self, other: "Provenance") -> "Provenance":
        """What is unsaid is as in another."""
        return Provenance(*(getattr(self, each.name) or getattr(other, each.name) for each in fields(self)))

    def said(self) -> list[tuple[str, str]]:
        """What is said, each with its key."""
        return [(each.name, getattr(self, each.name)) for each in fields(self) if getattr(self, each.name)]


UNSAID = Provenance()
