"""Looks at the evidence on candidates, decides, and changes the traffic of models."""
