"""Decides which version of which model an input goes to."""
