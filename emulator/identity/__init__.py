"""Identity: issues tokens, and checks the callers of each service as Cloud Run does."""
