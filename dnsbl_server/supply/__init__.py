"""Which zones are in service, and when that changes."""
