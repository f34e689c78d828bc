"""Downloads a profile's models while an image is built: python -m gpu_service.bake --profile hub."""

import sys

from gpu_service.checkpoints import checkpoint, registry

from .settings import read


def main() -> None:
    """Raises StartError when a model cannot be had."""
    settings = read(sys.argv[1:])
    for entry in registry.load(settings.models, settings.profile).entries:
        found = checkpoint.find(entry, settings.models)
        print(f"{entry.name} {entry.version}: {found.folder}, revision {found.revision}")


if __name__ == "__main__":
    main()
