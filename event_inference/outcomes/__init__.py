"""What comes out of a pipeline: documents, progress and status, and waiting for them."""
