"""docs/checkpoints.md has a row for every parity case, with the outcome that the case expects."""

import re

from tests.gpu_service.parity.cases import modules
from tests.gpu_service.parity.table import HEAD, PAGE

ROW = re.compile(r"\| (.+?) \| (.+?) \| (?:refused: )?(.+) \|")


def test_the_committed_table_is_what_the_cases_say():
    page = PAGE.read_text()
    assert page.startswith(HEAD)
    rows = [ROW.fullmatch(line) for line in page.removeprefix(HEAD).splitlines()]
    cases = [case for module in modules() for case in module.CASES]
    assert all(rows)
    assert [match.group(1, 2) for match in rows] == [(case.architecture, case.variant) for case in cases]
    for case, match in zip(cases, rows, strict=True):
        assert case.fits(match[3].replace("\\|", "|")), case.name
        assert case.is_refused == ("| refused: " in match[0]), case.name
