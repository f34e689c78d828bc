"""Releases: which revisions served together, so that a rollback restores all of them.

python deploy/gcloud/releases.py describe FOLDER NAME…     the release of these services, from what gcloud described
python deploy/gcloud/releases.py changed NOW NEWEST        exits with 0 if two releases differ
python deploy/gcloud/releases.py previous NOW FOLDER       the file of the release before the one that serves now
python deploy/gcloud/releases.py services NOW PREVIOUS     lines of name, region and revision to give traffic to
python deploy/gcloud/releases.py workflow NOW PREVIOUS     what to deploy again as JSON; exits with 1 if nothing differs
python deploy/gcloud/releases.py job NOW PREVIOUS JOB      the same for a job, whose name and region are one argument
"""

import json
import sys
from pathlib import Path
from typing import Any

Release = dict[str, Any]


def read(path: str | Path) -> Release:
    release: Release = json.loads(Path(path).read_text(encoding="utf-8"))
    return release


def describe(folder: Path, names: list[str]) -> Release:
    """The release in a folder: what exists of `services.REGION.json`, `job.NAME.REGION.json` and `workflow.json`."""
    release: Release = {"services": {}, "workflow": None, "jobs": {}}
    for path in sorted(folder.glob("services.*.json")):
        region = path.name.split(".")[1]
        for service in json.loads(path.read_text(encoding="utf-8")):
            if service["metadata"]["name"] in names:
                release["services"][f"{service['metadata']['name']} {region}"] = serving(service)
    if (path := folder / "workflow.json").exists():
        workflow = read(path)
        source = workflow["sourceContents"].rstrip("\n")
        release["workflow"] = {"source": source, "env": workflow.get("userEnvVars", {})}
    for path in sorted(folder.glob("job.*.json")):
        _, name, region, _ = path.name.split(".")
        release["jobs"][f"{name} {region}"] = _job(read(path))
    return release


def _job(described: dict[str, Any]) -> dict[str, Any]:
    """What `gcloud run jobs replace` takes."""
    metadata = {"name": described["metadata"]["name"], "labels": described["metadata"].get("labels", {})}
    return {
        "apiVersion": described["apiVersion"],
        "kind": described["kind"],
        "metadata": metadata,
        "spec": described["spec"],
    }


def serving(service: dict[str, Any]) -> str:
    """The revision with the most traffic."""
    traffic = service["status"]["traffic"]
    return str(max(traffic, key=lambda entry: entry.get("percent", 0))["revisionName"])


def previous(now: Release, releases: list[Release]) -> int | None:
    """The index of the release before the one that serves now; of the newest one, if that was not recorded."""
    same = [index for index, release in enumerate(releases) if release == now]
    index = (same[-1] if same else len(releases)) - 1
    return index if index >= 0 else None


def main(arguments: list[str]) -> int:
    match arguments:
        case ["describe", folder, *names]:
            print(json.dumps(describe(Path(folder), names), indent=2))
        case ["changed", now, newest]:
            return int(read(now) == read(newest))
        case ["previous", now, folder]:
            paths = sorted(Path(folder).glob("*.json"))
            index = previous(read(now), [read(path) for path in paths])
            if index is None:
                return 1
            print(paths[index])
        case ["services", now, before]:
            current = read(now)["services"]
            for key, revision in read(before)["services"].items():
                if current.get(key, revision) != revision:
                    print(key, revision)
        case ["workflow", now, before]:
            return _print_changed(read(before)["workflow"], read(now)["workflow"])
        case ["job", now, before, job]:
            return _print_changed(read(before)["jobs"].get(job), read(now)["jobs"].get(job))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def _print_changed(wanted: Release | None, current: Release | None) -> int:
    if wanted is None or wanted == current:
        return 1
    print(json.dumps(wanted))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
