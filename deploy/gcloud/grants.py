"""Compares the permissions that deploy.sh granted before, which a file in the source bucket lists, with those of now.

python deploy/gcloud/grants.py stale FILE KIND…     what is granted on targets of these kinds and not asked for any more
python deploy/gcloud/grants.py all FILE KIND…       what is or was asked for on targets of these kinds
python deploy/gcloud/grants.py remember FILE        the file's content before anything is granted: both
python deploy/gcloud/grants.py settle FILE KIND…    its content once the stale ones of these kinds are taken away

A variable names some roles and targets, such as a secret. Once it is emptied or names another, nothing else knows them.
"""

import json
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy import inventory


class Grant(NamedTuple):
    """A permission on a target, by the target's own name; `region` is that of a service or job, `only` a condition."""

    kind: str
    name: str
    region: str
    who: str
    role: str
    only: str


def granted(system: inventory.Inventory) -> set[Grant]:
    """What the variables ask for."""
    rows = {(row["who"], row["role"], row["target"], row.get("only", "")) for row in system["iam"]}
    return {
        Grant(kind, name, region, who, role, only)
        for who, role, target, only in rows
        for kind, name, region in _targets(system, target)
    }


def read(file: Path) -> set[Grant]:
    return {Grant(*row) for row in json.loads(file.read_text(encoding="utf-8"))} if file.exists() else set()


def stale(before: set[Grant], now: set[Grant], kinds: Collection[str]) -> list[Grant]:
    """What was granted on targets of these kinds and is not asked for any more."""
    return sorted(grant for grant in before - now if grant.kind in kinds)


def settled(before: set[Grant], now: set[Grant], kinds: Collection[str]) -> set[Grant]:
    """What is granted once the stale ones of these kinds are taken away; other kinds are as they were."""
    return {grant for grant in before if grant.kind not in kinds} | {grant for grant in now if grant.kind in kinds}


def text(grants: Collection[Grant]) -> str:
    """The content of the file."""
    rows = ",\n".join(json.dumps(grant) for grant in sorted(grants))
    return f"[\n{rows}\n]\n"


def lines(grants: Collection[Grant]) -> str:
    """One line each, as the scripts read them."""
    return "".join("\x1f".join(grant) + "\n" for grant in grants)


def _targets(system: inventory.Inventory, target: str) -> Iterator[tuple[str, str, str]]:
    """The kind of a target, its own name, and its region; a service of several regions has as many."""
    chosen = system["settings"]
    prefix = f"{chosen['service_prefix']}-"
    kind, _, name = target.partition("/")
    match kind:
        case "bucket":
            own = f"{chosen['project_id']}-{prefix}{name}"
            yield kind, chosen["input_bucket"] if name == "input" else own, ""
        case "secret":
            yield kind, system["secrets"][name]["secret"], ""
        case "service" | "job":
            section = system.get(name.replace("-", "_"), {})
            for region in section.get("regions", [chosen["region"]]):
                yield kind, prefix + name, region
        case _:
            yield kind, prefix + name if name else "", ""


def main() -> None:
    verb, file, *kinds = sys.argv[1:]
    before, now = read(Path(file)), granted(inventory.load(inventory.from_environ(os.environ)))
    match verb:
        case "stale":
            sys.stdout.write(lines(stale(before, now, kinds)))
        case "all":
            sys.stdout.write(lines(stale(before | now, set(), kinds)))
        case "remember":
            sys.stdout.write(text(before | now))
        case "settle":
            sys.stdout.write(text(settled(before, now, kinds)))


if __name__ == "__main__":
    main()
