"""The Starlette application that serves one store."""

from starlette.applications import Starlette

from ..store import Store


def app(store: Store) -> Starlette:
    """Serves `store` under /storage/v1, /upload, /resumable, /download, /batch, /b and /{bucket}/{object}.

    The last form takes any path, so a server with other APIs mounts this application after them, at "".
    """
    raise NotImplementedError
