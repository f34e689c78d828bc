"""Decides between two versions of a model by evidence that may be looked at after every input."""
