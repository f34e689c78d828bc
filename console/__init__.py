"""The web console: a server-rendered view of a pipeline, on the laptop or in a cloud, by the Python client alone."""
