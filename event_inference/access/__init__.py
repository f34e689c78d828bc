"""Access to a pipeline: Google's clients and the user's credentials."""
