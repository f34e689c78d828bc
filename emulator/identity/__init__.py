"""Who may call a service: a gate in front of each checks tokens as Cloud Run does, and a server gives them out."""
