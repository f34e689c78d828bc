"""What variables switch on, the gcloud scripts take away when they are emptied or name something else."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy import inventory
from deploy.gcloud import grants
from deploy.gcloud.grants import Grant

ROOT = Path(__file__).parents[3]
ROLE = "projects/my-project/roles/vertexPredict"
ACCESSOR = "roles/secretmanager.secretAccessor"
MICRO_BATCHING_PUBLISHER = Grant("topic", "inference-uploads", "", "agent/storage", "roles/pubsub.publisher", "")


def granted(**values: Any) -> set[Grant]:
    return grants.granted(inventory.load({"project_id": "my-project", **values}))


KINDS = {grant.kind for grant in granted()} | {"secret"}


IN_EUROPE = [
    ("job", "inference-gpu-job", "europe-west4", "workflow", "roles/run.jobsExecutorWithOverrides"),
    ("job", "inference-gpu-job", "europe-west4", "workflow", "roles/run.viewer"),
    ("service", "inference-gpu-service", "europe-west4", "workflow", "roles/run.invoker"),
]


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        ({"vertex_predict_role": ROLE}, {}, [("project", "", "", "workflow", ROLE)]),
        (
            {"vertex_predict_role": ROLE},
            {"vertex_predict_role": "roles/aiplatform.user"},
            [("project", "", "", "workflow", ROLE)],
        ),
        (
            {"hub_token_secret": "a"},
            {},
            [("secret", "a", "", "gpu-job", ACCESSOR), ("secret", "a", "", "gpu-service", ACCESSOR)],
        ),
        (
            {"hub_token_secret": "a"},
            {"hub_token_secret": "b"},
            [("secret", "a", "", "gpu-job", ACCESSOR), ("secret", "a", "", "gpu-service", ACCESSOR)],
        ),
        ({"gpu_regions": ["us-central1", "europe-west4"]}, {}, IN_EUROPE),
        ({"gpu_regions": ["europe-west4"]}, {}, IN_EUROPE),
        ({"micro_batching": True}, {}, [tuple(MICRO_BATCHING_PUBLISHER[:5])]),
        ({"gpu_type": "none"}, {}, []),
    ],
    ids=lambda value: " ".join(map(str, value)) or "default" if isinstance(value, dict) else "",
)
def test_what_the_variables_ask_for_no_longer_is_stale(
    before: dict[str, Any], now: dict[str, Any], lost: list[tuple[str, ...]]
) -> None:
    stale = grants.stale(granted(**before), granted(**now), KINDS)
    assert [tuple(grant[:5]) for grant in stale] == lost
    assert grants.stale(granted(**now), granted(**now), KINDS) == []


def test_another_input_bucket_is_left_alone() -> None:
    own, mine = granted(), granted(existing_input_bucket="mine")
    for before, now, bucket in ((own, mine, "my-project-inference-input"), (mine, own, "mine")):
        stale = grants.stale(before, now, KINDS)
        assert stale == sorted(grant for grant in before if (grant.kind, grant.name) == ("bucket", bucket))
        assert len(stale) >= 6


def test_only_targets_of_the_chosen_steps_are_settled() -> None:
    before, now = granted(vertex_predict_role=ROLE, hub_token_secret="a"), granted()
    assert {grant.kind for grant in grants.stale(before, now, ["project"])} == {"project"}
    left = grants.settled(before, now, ["project"])
    assert {grant.kind for grant in grants.stale(left, now, KINDS)} == {"secret"}
    assert grants.settled(left, now, KINDS) == now


def test_the_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    everything = granted(vertex_predict_role=ROLE, hub_token_secret="a", micro_batching=True)
    file = tmp_path / "grants.json"
    assert grants.read(file) == set()
    file.write_text(grants.text(everything))
    assert grants.read(file) == everything
    assert any(grant.only for grant in everything)


# --- the scripts -----------------------------------------------------------------------------------


class Cloud:
    """A gcloud that keeps objects of the source bucket, answers with policies and logs what changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "gcloud").write_text(
            f"""#!/bin/bash
case "$*" in
  auth*) echo token ;;
  "projects describe"*) echo 123456789 ;;
  *get-iam-policy*) cat {folder}/policy.json ;;
  "storage buckets describe gs://my-project-inference-source"*) echo it ;;
  "storage ls"*) [ -e "{folder}/$(basename "$3")" ] ;;
  "storage cp gs://"*) cp "{folder}/$(basename "$3")" "$4" ;;
  "storage cp"*) cp "$3" "{folder}/$(basename "$4")" ;;
  "run services describe inference-preprocess"*) cat {folder}/preprocess.json ;;
  *describe*) exit 1 ;;
  *list*) echo '[]' ;;
  *) printf '%q ' "$@" >>{folder}/calls; echo >>{folder}/calls ;;
esac
"""
        )
        (folder / "gcloud").chmod(0o755)
        built = {"spec": {"template": {"spec": {"containers": [{"image": "built"}]}}}}
        (folder / "preprocess.json").write_text(json.dumps(built))
        self.bound()

    def bound(self, *bindings: tuple[str, str]) -> None:
        """Lets every policy have these roles and members."""
        found = [{"role": role, "members": [f"serviceAccount:{member}"]} for role, member in bindings]
        (self.folder / "policy.json").write_text(json.dumps({"bindings": found}))

    def refuse(self, command: str) -> None:
        script = (self.folder / "gcloud").read_text()
        (self.folder / "gcloud").write_text(script.replace('case "$*" in', f'case "$*" in "{command}"*) exit 1 ;;', 1))

    def run(self, *steps: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PROJECT_ID": "my-project", "PATH": f"{self.folder}:{os.environ['PATH']}", **variables}
        command = [str(ROOT / "deploy/gcloud/deploy.sh"), *steps]
        return subprocess.run(command, env=env, capture_output=True, text=True)

    def deploy(self, *steps: str, **variables: str) -> list[list[str]]:
        """Runs the steps, and returns the commands that changed something."""
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        run = self.run(*steps, **variables)
        assert run.returncode == 0, run.stderr
        return [shlex.split(line) for line in calls.read_text().splitlines()] if calls.exists() else []


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def removals(commands: list[list[str]]) -> list[list[str]]:
    return [words for words in commands if any(word.endswith("remove-iam-policy-binding") for word in words)]


@pytest.mark.long
@pytest.mark.parametrize("now", [{}, {"VERTEX_PREDICT_ROLE": "roles/aiplatform.user"}], ids=["emptied", "another"])
def test_an_earlier_role_is_taken_away(cloud: Cloud, now: dict[str, str]) -> None:
    workflow = "inference-workflow@my-project.iam.gserviceaccount.com"
    assert removals(cloud.deploy("accounts", VERTEX_PREDICT_ROLE=ROLE)) == []
    cloud.bound((ROLE, workflow), ("roles/viewer", workflow), (ROLE, "someone@my-project.iam.gserviceaccount.com"))
    (removal,) = removals(cloud.deploy("accounts", **now))
    assert removal[:3] == ["projects", "remove-iam-policy-binding", "my-project"]
    assert {f"--member=serviceAccount:{workflow}", f"--role={ROLE}", "--condition=None"} <= set(removal)
    assert removals(cloud.deploy("accounts", **now)) == [], "the list has forgotten it"


@pytest.mark.long
def test_a_run_without_permissions_takes_none_away(cloud: Cloud) -> None:
    cloud.deploy("accounts", VERTEX_PREDICT_ROLE=ROLE)
    cloud.bound((ROLE, "inference-workflow@my-project.iam.gserviceaccount.com"))
    assert removals(cloud.deploy("schedules")) == []
    assert len(removals(cloud.deploy("accounts"))) == 1


@pytest.mark.long
def test_a_secret_is_readable_as_long_as_the_service_and_the_job_need_it(cloud: Cloud) -> None:
    accounts = [f"inference-{name}@my-project.iam.gserviceaccount.com" for name in ("gpu-service", "gpu-job")]
    cloud.deploy("accounts", "job", HUB_TOKEN_SECRET="hf-token")
    cloud.bound(*((ACCESSOR, account) for account in accounts))
    assert removals(cloud.deploy("accounts")) == []
    found = removals(cloud.deploy("job"))
    assert [words[:3] for words in found] == [["secrets", "remove-iam-policy-binding", "hf-token"]] * 2
    assert {f"--member=serviceAccount:{account}" for account in accounts} <= {word for words in found for word in words}


def test_the_job_that_cuts_batches_needs_the_image_of_its_function(cloud: Cloud) -> None:
    cloud.refuse("run services describe inference-preprocess")
    run = cloud.run("accounts", "job")
    assert run.returncode != 0
    assert run.stderr.endswith("inference-preprocess does not exist yet: run deploy.sh preprocess\n")


def test_an_interrupted_run_has_listed_what_it_granted(cloud: Cloud) -> None:
    cloud.refuse("projects add-iam-policy-binding")
    run = cloud.run("accounts", VERTEX_PREDICT_ROLE=ROLE)
    assert run.returncode != 0
    assert Grant("project", "", "", "workflow", ROLE, "") in grants.read(cloud.folder / "grants.json")
