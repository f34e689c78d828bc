"""The table of outcomes."""

import io

from rich.console import Console

from samples.outcomes import Outcome, table


def test_control_characters_and_markup_in_documents_are_shown_as_text() -> None:
    reason = {"code": "bad", "message": "a\x1b[2Jb\x9b [red]no colour[/] [/unopened]"}
    outcome = Outcome("texts/\x1b]0;x.txt", [{"status": "rejected", "kind": "text", "reason": reason}], [])
    shown = io.StringIO()
    Console(file=shown, width=200).print(table([outcome]))
    assert r"bad: a\u001b[2Jb\u009b [red]no colour[/] [/unopened]" in shown.getvalue()
    assert r"texts/\u001b]0;x.txt" in shown.getvalue()
