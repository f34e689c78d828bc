"""One module for each page, and its actions."""
