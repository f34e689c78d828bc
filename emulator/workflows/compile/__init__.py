"""Compiles the syntax tree into operations and closures over a scope."""
