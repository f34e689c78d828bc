"""`experimental.executions`."""
FUNCTIONS = []
