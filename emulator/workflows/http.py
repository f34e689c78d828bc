"""The shared HTTP client."""


class HttpClient:
    """One aiohttp session for all executions of one event loop."""

    async def close(self) -> None:
        """Close the connections."""
