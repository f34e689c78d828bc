"""Serves text and image classifiers over HTTP on one GPU or on the CPU, batching whatever waits."""

__version__ = "0.1.0"
