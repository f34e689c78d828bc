"""Several deployments with prefixes of their own in one project, such as dev and prod, do not touch each other."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import inventory
from deploy.monitoring import bodies
from tests.deploy import shape

ROOT = Path(__file__).parents[2]
PREFIXES = ["ab", "ab-cd", "cd-ab", "ab-on"]  # each is the beginning or the end of another
EVERYTHING = {"project_id": "my-project", "notifications_secret": "endpoints"}
SYSTEMS = {prefix: inventory.load({**EVERYTHING, "service_prefix": prefix}) for prefix in PREFIXES}
LONGEST = "a" + 13 * "-" + "c"
# Google's limits on the characters of a name.
LIMITS = {
    "account": 30,
    "bucket": 63,
    "topic": 255,
    "function": 49,  # the limit of Cloud Run's services, which run them
    "subscription": 255,
    "trigger": 63,
    "schedule": 500,
    "log_metric": 100,
    "alert": 512,
    "dashboard": 512,
    "registry": 63,
    "service": 49,
    "job": 49,
    "workflow": 64,
    "slo": 63,
    "log_sink": 100,
    "dataset": 1024,
}


def kind_and_name(key: str) -> tuple[str, str]:
    kind, _, name = key.partition("/")
    name = name.partition("@")[0] if kind == "account" else name
    return kind, name.rpartition("/")[2] if kind in ("service", "job", "slo") else name


class TestNames:
    def test_those_with_the_longest_prefix_fit_into_googles_limits(self):
        system = inventory.load({"project_id": "p" + 28 * "-" + "q", "service_prefix": LONGEST})
        names = [kind_and_name(key.replace(shape.PROJECT, "p" * 30)) for key in shape.expected(system)]
        checked = {kind for kind, name in names if kind not in ("api", "iam") and len(name) <= LIMITS[kind]}
        too_long = [(kind, name) for kind, name in names if kind in LIMITS and len(name) > LIMITS[kind]]
        assert too_long == []
        assert checked == set(LIMITS)
        assert len(f"eventarc-northamerica-northeast1-{LONGEST}-on-upload-sub-001") <= LIMITS["subscription"]
        assert len(f"{'p' * 30} {LONGEST}") <= 60, "the budget's display name"

    def test_one_more_character_is_refused(self):
        with pytest.raises(inventory.VariableError, match="service_prefix"):
            inventory.load({"project_id": "my-project", "service_prefix": LONGEST + "d"})

    @pytest.mark.parametrize("one", PREFIXES)
    @pytest.mark.parametrize("other", PREFIXES)
    def test_deployments_share_nothing_but_enabled_apis(self, one: str, other: str):
        shared = shape.expected(SYSTEMS[one]).keys() & shape.expected(SYSTEMS[other]).keys()
        assert one == other or {key.partition("/")[0] for key in shared} == {"api"}

    def test_no_name_is_the_end_of_another_of_its_kind(self):
        """Otherwise one prefix and name could be another prefix and name."""
        names: dict[str, set[str]] = {}
        for key in shape.expected(SYSTEMS["ab"]):
            kind, name = kind_and_name(key)
            if kind not in ("api", "iam", "notification"):
                names.setdefault(kind, set()).add(re.split(r"\bab\b[-_ /]?", name, maxsplit=1)[-1])
        assert len(names) >= 15
        ambiguous = [(a, b) for those in names.values() for a in those for b in those if b and a.endswith(f"-{b}")]
        assert ambiguous == []


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def monitoring(system: inventory.Inventory) -> list[str]:
    """Every filter and query of what watches a deployment."""
    everything = [
        *(bodies.alert(system, name) for name in system["alerts"]),
        *(bodies.dashboard(system, name) for name in system["dashboards"]),
        *(bodies.log_metric(system, name) for name in system["log_metrics"]),
        bodies.slo(system),
        bodies.log_sink(system),
    ]
    return [text for body in everything for text in strings(body) if "resource" in text and "=" in text]


NAME_LABELS = "service_name|job_name|workflow_id|subscription_id"
LABEL = rf'(?:{NAME_LABELS})\s*=(?:~|monitoring\.regex\.full_match\()?\s*\(?("[^"]+"(?: OR "[^"]+")*)'


def watched(system: inventory.Inventory) -> set[str]:
    """The patterns of names that filters and queries select; a plain name is a pattern of itself."""
    return {
        name
        for text in monitoring(system)
        for names in re.findall(LABEL, " ".join(text.split()))
        for name in re.findall(r'"([^"]+)"', names)
    }


class TestMonitoring:
    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_filters_name_only_their_own_resources(self, prefix: str):
        own, others = resources(prefix), {name for other in PREFIXES if other != prefix for name in resources(other)}
        patterns = watched(SYSTEMS[prefix])
        assert len(patterns) >= 8
        for pattern in patterns:
            assert [name for name in own if re.fullmatch(pattern, name)], pattern
            assert [name for name in others if re.fullmatch(pattern, name)] == [], pattern

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_every_filter_names_resources_or_a_metric_of_the_deployment(self, prefix: str):
        loose = re.compile(rf"user[/_]{re.escape(prefix)}[-_]|user_{prefix.replace('-', '_')}_")
        for text in monitoring(SYSTEMS[prefix]):
            assert re.search(LABEL, " ".join(text.split())) or loose.search(text), text
            assert "starts_with(" not in text


def resources(prefix: str) -> set[str]:
    """The names of everything that a filter can select, also of what Eventarc makes."""
    kinds = ("function", "subscription", "service", "job", "workflow")
    names = {name for kind, name in map(kind_and_name, shape.expected(SYSTEMS[prefix])) if kind in kinds}
    return names | {f"eventarc-us-central1-{prefix}-on-upload-sub-001"}


class TestDestroying:
    @pytest.mark.parametrize(("prefix", "other"), [("ab", "ab-cd"), ("ab-cd", "ab"), ("ab", "cd-ab")])
    @pytest.mark.release
    def test_it_deletes_everything_of_its_own_and_nothing_of_another_deployment(
        self, tmp_path: Path, prefix: str, other: str
    ):
        both = [*listed(SYSTEMS[prefix]), *listed(SYSTEMS[other])]
        entries = [{"name": f"projects/my-project/x/{name}", "displayName": name} for name in displayed(prefix, other)]
        policy = {"bindings": [*bindings(SYSTEMS[prefix]), *bindings(SYSTEMS[other])]}
        self.stand_in(tmp_path, both, entries, policy)
        env = {
            **os.environ,
            "PROJECT_ID": "my-project",
            "SERVICE_PREFIX": prefix,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
        }
        command = [str(ROOT / "deploy/gcloud/destroy.sh"), "--dry-run", "--with-data"]
        run = subprocess.run(command, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        words = [shlex.split(line) for line in run.stdout.splitlines()]
        deleted = {
            line[-1 - line.count("--quiet")].rpartition("/")[2]
            for line in words
            if {"delete", "DELETE", "rm"} & {*line}
        }
        own, foreign = ({*listed(SYSTEMS[each]), *displayed(each)} for each in (prefix, other))
        assert own <= deleted
        assert foreign & deleted == set()
        removed = {
            word.partition("=")[2]
            for line in words
            if "remove-iam-policy-binding" in line
            for word in line
            if "--member" in word
        }
        assert removed == {member for binding in bindings(SYSTEMS[prefix]) for member in binding["members"]}
        titles = {word.rpartition("title=")[2] for line in words for word in line if "title=" in word}
        assert titles == {prefix}

    def stand_in(self, folder: Path, names: list[str], entries: list[dict[str, str]], policy: dict[str, Any]) -> None:
        """A gcloud and a curl that list the resources of both deployments."""
        (folder / "names").write_text("".join(f"{name}\n" for name in names))
        (folder / "policy").write_text(json.dumps(policy))
        (folder / "entries").write_text(json.dumps({"alertPolicies": entries}))
        (folder / "gcloud").write_text(
            "#!/bin/sh\n"
            f'case "$*" in auth*) echo token;; *get-iam-policy*) cat {folder}/policy;; *projects*) echo 123;;\n'
            f'  *notifications*) exit 1;; run*describe*) echo "$4";; *) cat {folder}/names;; esac\n'
        )
        (folder / "curl").write_text(f"#!/bin/sh\ncat {folder}/entries; printf '\\n200'\n")
        for name in ("gcloud", "curl"):
            (folder / name).chmod(0o755)


def listed(system: inventory.Inventory) -> list[str]:
    """The names and addresses that gcloud lists."""
    of_monitoring = ("api", "iam", "alert", "dashboard", "slo", "dataset", "notification", "service", "job")
    keys = [key for key in shape.expected(system) if key.partition("/")[0] not in of_monitoring]
    return [key.partition("/")[2] for key in keys]


def displayed(*prefixes: str) -> list[str]:
    names = []
    for prefix in prefixes:
        system = SYSTEMS[prefix]
        names += [f"{prefix}-{name}" for name in system["alerts"]] + [
            f"{prefix} {name}" for name in system["dashboards"]
        ]
    return names


def bindings(system: inventory.Inventory) -> list[dict[str, Any]]:
    """The policy of the project, as far as the deployment wrote it."""
    found = []
    for row in system["iam"]:
        if row["target"] == "project":
            who, prefix = row["who"], shape.prefix(system)
            agent = who.startswith("agent/")
            email = f"service-123@{system['agents'][who[6:]]}" if agent else shape.account(system, who)
            condition = {"condition": {"title": prefix, "expression": row["only"]}} if "only" in row else {}
            found.append({"role": row["role"], "members": [f"serviceAccount:{email}"], **condition})
    return found
