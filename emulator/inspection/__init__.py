"""What a cloud does not show about a delivery or a call, for the developer: attempts, bodies and log lines."""
