"""What the pipeline costs: list prices with their sources, and pure functions from traffic to a monthly bill."""
