"""Who may call a service: a gate in front of each that checks tokens as Cloud Run does; a server that gives them out."""
