"""Connectors: calls of Google's APIs, with tokens, retries and polling."""
