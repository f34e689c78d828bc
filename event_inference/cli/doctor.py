"""`einf doctor`: what is wrong with a pipeline, and the command that mends it."""

from typing import TYPE_CHECKING

import click

from event_inference.cli import output
from event_inference.cli.session import Session, command
from event_inference.cli.values import DURATION
from event_inference.errors import UNREACHABLE

if TYPE_CHECKING:
    from event_inference.diagnosis import Finding

_EXAMPLES = """
$ einf doctor
   what                      state
✓  a local stack is running  http://127.0.0.1:…
✓  services                  … of … answer
✓  gs://local-input          can be written
✓  gs://local-output         can be read
✓  topic messages            exists
✓  workflow inference        ACTIVE
✓  failures in the last day  none
"""


@command(changes=True, examples=_EXAMPLES)
@click.option("--send", is_flag=True, help="Also send a text, and wait for its document.")
@click.option("--timeout", type=DURATION, default=300.0, metavar="DURATION", help="Of --send.  [default: 5m]")
def doctor(session: Session, send: bool, timeout: float, as_json: bool) -> int:
    """Examine the pipeline, and say which command mends what is wrong. Ends with 6 if something is."""
    from event_inference import diagnosis

    client = session.client("send a test input" if send else "")
    findings = list(diagnosis.examine(client))
    if send and not any(finding.problem for finding in findings):
        findings.append(diagnosis.trial(client, timeout))
    if as_json:
        for finding in findings:
            output.print_json({"what": finding.what, "ok": finding.ok, "state": finding.state, "mend": finding.mend})
    else:
        _print(findings)
    return UNREACHABLE if any(finding.problem for finding in findings) else 0


def _print(findings: "list[Finding]") -> None:
    rows = [
        ("✓" if finding.ok else "✗" if finding.problem else "?", finding.what, finding.state) for finding in findings
    ]
    output.table(rows, "", "what", "state")
    for finding in findings:
        if finding.mend:
            click.echo(f"\n{finding.what}: {finding.state}\n  {finding.mend}")
