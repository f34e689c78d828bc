"""The layers of the service: which folder may import which, from the imports in the source."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "gpu_service"
ENTRY_POINTS = {"__main__", "bake", "job"}
LAYERS = {
    "checkpoints": set(),
    "batching": set(),
    "networks": {"checkpoints"},
    "inputs": {"checkpoints"},
    "serving": {"batching", "checkpoints", "inputs", "networks"},
    "shards": {"serving"},
    "web": {"batching", "checkpoints", "serving", "shards"},
    "training": set(),
}


def modules() -> dict[str, set[str]]:
    """Every module with the modules that it imports, also those for type checking and inside functions."""
    paths = {path.relative_to(PACKAGE.parent).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    names = {".".join(path.parts).removesuffix(".__init__"): source for path, source in paths.items()}
    return {name: imported(source) & names.keys() for name, source in names.items()}


def imported(source: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{source}: a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def folder(module: str) -> str | None:
    """None for a module of the package's root."""
    parts = module.split(".")[1:]
    return parts[0] if parts and (PACKAGE / parts[0]).is_dir() else None


def test_no_module_imports_itself_through_others():
    packages = {name for name in modules() if (PACKAGE.parent / name.replace(".", "/")).is_dir()}
    graph = {name: found - packages for name, found in modules().items()}
    TopologicalSorter(graph).prepare()


def test_folders_import_only_the_layers_below():
    for module, found in modules().items():
        own = folder(module)
        if own is not None:
            folders = {other for other in map(folder, found) if other not in (None, own)}
            assert folders <= LAYERS[own], module
    TopologicalSorter(LAYERS).prepare()


def test_modules_in_the_root_are_entry_points_or_import_no_folder():
    for module, found in modules().items():
        name = module.removeprefix("gpu_service.")
        if folder(module) is None and name not in ENTRY_POINTS:
            assert not {other for other in found if folder(other)}, module
        assert not {f"gpu_service.{entry}" for entry in ENTRY_POINTS} & found, module
