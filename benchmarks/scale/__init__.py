"""How much load a deployment takes, what binds first, and what moves that: computed, not measured in a cloud."""
