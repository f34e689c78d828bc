"""Google Cloud on a laptop: Storage, Pub/Sub, Eventarc and Workflows in one process, the services beside it."""
