"""Google Cloud on a laptop: storage, Pub/Sub, event delivery and Workflows in one process, and the services beside it."""
