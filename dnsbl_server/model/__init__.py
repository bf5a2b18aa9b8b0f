"""What is listed, and where that is written."""
