"""Who may call a service: tokens checked in front of each, as Cloud Run does it, and a metadata server that gives some out."""
