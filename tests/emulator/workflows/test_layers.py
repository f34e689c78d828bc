"""The interpreter's folders and modules form layers; each imports only from itself and lower ones."""

import ast
from pathlib import Path

PACKAGE = "emulator.workflows"
FOLDER = Path(__file__).parents[3] / "emulator" / "workflows"
LAYERS = [
    "limits", "errors", "assumptions", "values", "syntax", "runtime", "library", "connectors", "functions", "compile",
    "deploy_checks", "workflow", "trace", "linter", "callback_server", "__init__", "__main__",
]  # fmt: skip


def imported(path: Path) -> set[str]:
    """The layers that a module imports."""
    layers = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            rest = node.module.removeprefix(PACKAGE).lstrip(".")
            layers |= {rest.partition(".")[0]} if rest else {alias.name for alias in node.names}
    return layers


def test_every_module_imports_only_from_its_own_and_lower_layers() -> None:
    wrong = []
    for path in FOLDER.rglob("*.py"):
        layer = path.relative_to(FOLDER).parts[0].removesuffix(".py")
        allowed = LAYERS[: LAYERS.index(layer) + 1]
        wrong += [f"{path.relative_to(FOLDER)} imports {name}" for name in sorted(imported(path) - {*allowed})]
    assert wrong == []
