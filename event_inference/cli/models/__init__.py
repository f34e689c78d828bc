"""Commands on models: what is served, traffic, labels, and decisions on candidates."""
