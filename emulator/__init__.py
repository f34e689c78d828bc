"""Google Cloud on a laptop: Storage, Pub/Sub, Eventarc, Workflows and Cloud Run, in one process and its children."""
