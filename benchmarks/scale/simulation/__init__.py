"""A discrete-event simulation of floods and outages: the pipeline's own decisions on a virtual clock."""
