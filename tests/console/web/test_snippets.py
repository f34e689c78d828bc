"""Lines to be copied into a terminal, whatever the input's name holds."""

import shlex
import subprocess
from dataclasses import astuple, replace

import pytest

from console.web import snippets
from event_inference import Target

TARGET = Target.laptop(origin="test", http="", grpc="")
NAMES = ["plain.txt", "it's \\u0041 $(id) `id`.txt", "x\x1b[201~\x15touch 'owned\\'\x0f.txt", "ä\x7f\x9b\t\\.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_a_copied_line_has_nothing_that_a_terminal_obeys_and_means_the_same_name(name: str) -> None:
    made = snippets.status(TARGET, name, f"{name}/1", "results")
    assert all(line.isprintable() for line in astuple(made) + astuple(snippets.sweep(TARGET, name)))
    words = made.einf.removeprefix("einf status ")
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {words}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert printed.stdout.decode() == name


def test_an_ordinary_name_is_quoted_as_usual() -> None:
    assert snippets.status(TARGET, "a b.txt", "a b.txt/1", "").einf == f"einf status {shlex.quote('a b.txt')}"


@pytest.mark.parametrize("name", ["a[1].txt", "a*.txt", "what?.txt"])
def test_gcloud_is_not_offered_a_name_that_it_takes_for_a_pattern(name: str) -> None:
    made = [snippets.status(TARGET, name, f"{name}/1", "results"), snippets.resend(TARGET, name, {}, "text/plain")]
    assert {lines.gcloud[0] for lines in made} == {"#"}
    assert made[0].einf == f"einf status '{name}'"


def test_a_cloud_is_named_as_it_was_found() -> None:
    cloud = Target.cloud(origin="test", project="my-project-123")
    far = Target.cloud(origin="test", project="my-project-123", region="europe-west4", service_prefix="ours")
    assert snippets.sweep(cloud, "a").einf == "einf sweep a --project my-project-123"
    assert snippets.sweep(far, "a").python.endswith(
        "Client(project='my-project-123', region='europe-west4', service_prefix='ours').sweep(prefix='a')"
    )
    assert snippets.sweep(replace(far, context="production"), "a").einf == "einf sweep a --context production"
    assert snippets.sweep(cloud, "a").gcloud.endswith(" --project=my-project-123")


def test_values_with_commas_are_one_value_for_gcloud() -> None:
    made = snippets.resend(TARGET, "a.txt", {"labels": "a,b", "top_k": "1"}, "text/plain")
    assert "--custom-metadata='^::^labels=a,b::top_k=1'" in made.gcloud
