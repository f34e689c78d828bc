"""Models that are served: their folders in the models bucket, models.json, and Vertex AI's Model Registry."""
