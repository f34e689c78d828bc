"""The console as an ASGI application: what guards it, and what all pages share."""
