"""The commands of the documents suit a new project: they enable what they need and name their accounts."""

import math
import re
import shlex
from pathlib import Path

import pytest

from deploy import inventory
from tests.deploy import recorded

ROOT = Path(__file__).parents[2]
FIRST = (
    "gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com config.googleapis.com "
    "iam.googleapis.com cloudbuild.googleapis.com storage.googleapis.com"
)
DEPLOYMENT = "docs/deployment.md"
FIRST_DEPLOYMENT = "docs/first-deployment.md"
PAGES = ["README.md", DEPLOYMENT, FIRST_DEPLOYMENT, "deploy/infrastructure-manager/README.md"]


def blocks(page: str) -> list[str]:
    """The shell blocks of a page, with continued lines joined."""
    text = (ROOT / page).read_text()
    return [re.sub(r"\\\n\s*", "", block) for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


def commands(page: str) -> list[list[str]]:
    lines = [line.strip() for block in blocks(page) for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gcloud ")]


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_exists(page: str):
    known = [words for words in commands(page) if any(words[: len(c.split())] == c.split() for c in recorded.FLAGS)]
    assert known
    assert recorded.unknown_flags(known) == []


class TestTheCostOfLeavingItThere:
    """The table of first-deployment.md, and the sentences below it."""

    text = (ROOT / FIRST_DEPLOYMENT).read_text()
    rows = re.findall(r"^\| .* \| ([\d*/. ]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)

    def test_each_row_multiplies_quantity_and_price(self):
        assert len(self.rows) == 5
        for quantity, price, amount in self.rows:
            product, _, divisor = quantity.partition("/")
            count = math.prod(map(float, product.split("*"))) / float(divisor or 1)
            assert round(count * float(price), 4) == float(amount)

    def test_the_rows_add_up(self):
        (total,) = re.findall(r"\*\*together\*\*.*\*\*([\d.]+)\*\*", self.text)
        assert round(sum(float(amount) for *_, amount in self.rows), 4) == float(total)

    def test_the_gpus_price_is_the_deployments(self):
        price = inventory.load({"project_id": "my-project"})["settings"]["gpu_usd_per_second"]
        for seconds, dollars in re.findall(r"([\d,]+)\s+s × \$0\.0002907 = \$(\d+\.\d+)", self.text):
            assert round(int(seconds.replace(",", "")) * float(price), 2) == float(dollars)
        assert self.text.count(f"${price}") == 2


@pytest.mark.parametrize(
    ("page", "command"),
    [
        (DEPLOYMENT, "terraform apply"),
        (DEPLOYMENT, "pulumi up"),
        ("deploy/infrastructure-manager/README.md", "gcloud iam service-accounts create infra-manager"),
    ],
)
def test_each_route_first_enables_the_apis_that_it_reads_the_project_with(page: str, command: str):
    block = next(block for block in blocks(page) if command in block)
    assert block.splitlines()[0] == FIRST


def test_the_apis_enabled_first_are_in_the_inventory():
    apis = set(inventory.load({"project_id": "my-project"})["apis"])
    assert set(FIRST.split()[3:]) - apis == {"config.googleapis.com"}, "which is Infrastructure Manager itself"


def test_builds_name_their_account():
    builds = [
        words
        for page in PAGES
        for words in commands(page)
        if words[:2] in (["builds", "submit"], ["functions", "deploy"])
    ]
    assert len(builds) == 2
    for words in builds:
        flags = {word.partition("=")[0] for word in words}
        needed = {"--service-account"}
        if words[0] == "functions":
            needed |= {"--build-service-account", "--trigger-service-account"}
        assert needed <= flags


def test_the_image_is_built_by_an_account_that_the_instructions_create():
    block = next(block for block in blocks(DEPLOYMENT) if "gcloud builds submit" in block)
    assert block.startswith("gcloud services enable artifactregistry.googleapis.com cloudbuild.googleapis.com")
    account = re.findall(r"service-accounts create (\S+)", block)
    assert f"--service-account=projects/my-project/serviceAccounts/{account[0]}@" in block
