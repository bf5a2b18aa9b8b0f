"""What is listed, and where that was said."""
