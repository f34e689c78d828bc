"""Notifications of documents to the endpoints of a deployment."""
