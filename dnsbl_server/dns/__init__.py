"""Names and messages of the DNS."""
