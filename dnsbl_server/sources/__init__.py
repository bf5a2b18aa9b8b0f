"""The bytes of files to values with places."""
