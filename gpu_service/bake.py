"""Downloads a profile's models while the image is built: python -m gpu_service.bake --profile hub."""

import sys

from gpu_service import settings
from gpu_service.checkpoints import checkpoint, registry


def main() -> None:
    """Raises StartError when a model is not available."""
    options = settings.read(sys.argv[1:])
    for entry in registry.load(options.models, options.profile).entries:
        snapshot = checkpoint.find(entry, options.models)
        print(f"{entry.name} {entry.version}: {snapshot.folder}, revision {snapshot.revision}")


if __name__ == "__main__":
    main()
