"""The Python client, the command `einf` and the cost model of the inference pipeline."""
