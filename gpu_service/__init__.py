"""Serves text and image classifiers over HTTP on one GPU or on CPUs, with dynamic batching."""

__version__ = "0.1.0"
