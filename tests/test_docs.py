"""The documents agree with the code."""

import re
from pathlib import Path

from emulator.workflows import choices
from pipeline.errors import REASONS

DOCS = Path(__file__).parents[1] / "docs"


def test_every_reason_for_a_rejection_is_documented_in_the_same_words():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", (DOCS / "rejections.md").read_text(), re.MULTILINE))
    assert rows == REASONS


def test_every_choice_of_the_emulator_is_documented():
    text = (DOCS / "emulator.md").read_text()
    assert [name for name in vars(choices) if name.isupper() and f"`{name}`" not in text] == []


def test_links_between_documents_have_targets():
    root = DOCS.parent
    for page in [*DOCS.glob("*.md"), *root.glob("*.md"), *root.glob("benchmarks/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
