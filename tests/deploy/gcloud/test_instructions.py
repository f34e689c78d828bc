"""The commands of the documents suit a new project: they enable what they need and name their accounts."""

import math
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import inventory
from event_inference.cost.prices import published
from tests.deploy import recorded
from tests.deploy.gcloud import rehearsed
from tests.deploy.provider import server
from tests.deploy.stand_in.new_project import NewProject

ROOT = Path(__file__).parents[3]
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

    prices = published()

    def price(self, resource: str, variant: str = "") -> float:
        usd = self.prices.of(resource, "us-central1", variant).usd
        assert usd is not None
        return float(usd)

    def test_each_row_multiplies_quantity_and_price(self):
        resources = ["image", "function_cpu", "function_memory", "storage_class_a", "scheduler"]
        assert [float(price) for _, price, _ in self.rows] == [self.price(name) for name in resources]
        for quantity, price, amount in self.rows:
            product, _, divisor = quantity.partition("/")
            count = math.prod(map(float, product.split("*"))) / float(divisor or 1)
            assert round(count * float(price), 4) == float(amount)

    def test_the_rows_add_up(self):
        (total,) = re.findall(r"\*\*together\*\*.*\*\*([\d.]+)\*\*", self.text)
        assert round(sum(float(amount) for *_, amount in self.rows), 4) == float(total)

    def test_the_gpus_price_is_that_of_the_list(self):
        price = self.price("gpu", "nvidia-l4") + 4 * self.price("instance_cpu") + 16 * self.price("instance_memory")
        sums = re.findall(r"([\d,]+)\s+s × \$([\d.]+) = \$(\d+\.\d+)", self.text)
        assert len(sums) == 2
        for seconds, shown, dollars in sums:
            assert float(shown) == round(price, 7)
            assert round(int(seconds.replace(",", "")) * price, 2) == float(dollars)


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


# Commands that no test here runs, and why.
NOT_RUN = {
    "make rehearsal": "these tests",
    "CHECKOV=": "a test of its own",
    ".venv/bin/python -m pytest": "these tests",
    "make pulumi": "a test of its own, under Pulumi's mocks",
    "pulumi ": "Pulumi's engine is not run",
    "python3 -m venv .venv-pulumi": "Pulumi's engine is not run",
    "cd deploy/pulumi": "Pulumi's engine is not run",
    "terraform apply -var=micro_batching=true …": "no complete command",
    "terraform apply -var=gpu_type=none …": "no complete command",
    "terraform workspace new dev": "no complete command",
    "python deploy/inventory.py check": "checks a file of the reader's own",
}
# How the tests run what would set up an environment first.
INSTEAD = {
    "make stage": "$PYTHON deploy/stage.py",
    "deploy/gcloud/doctor.sh": "deploy/gcloud/doctor.sh --no-smoke",  # test_gcloud.py sends its input
}
DEPLOY_SECTION = "## Deploy"


def scripts() -> list[tuple[str, str]]:
    """The blocks of the pages as scripts, each command once, and those that destroy at the end."""
    seen: set[str] = set()
    found, last = [], []
    for page in (FIRST_DEPLOYMENT, DEPLOYMENT, "README.md"):
        text = (ROOT / page).read_text()
        text = text[text.index(DEPLOY_SECTION) :] if page == "README.md" else text
        exports = ""
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            kept = []
            for line in block.replace("\\\n", " ").splitlines():
                command = re.sub(r"\s+", " ", line.partition("  #")[0].partition(" # ")[0]).strip()
                if command.startswith("export "):
                    exports += f"{command}\n"
                elif not command or command in seen or command.startswith(tuple(NOT_RUN)):
                    continue
                elif "destroy" in command and not command.startswith("terraform"):
                    last.append((page, f"{exports}{command}"))
                else:
                    first, _, rest = line.partition("  #")[0].partition(" && ")
                    kept.append(INSTEAD.get(first.strip(), first) + (f" && {rest}" if rest else ""))
                if not line.startswith((" ", "for ", "done", "sleep ")) and "terraform" not in command:
                    seen.add(command)
            if any(kept):
                found.append((page, exports + "\n".join(kept)))
    return found + last


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rehearsed.Project]:
    folder = tmp_path_factory.mktemp("instructions")
    with rehearsed.rehearsing(folder, NewProject()) as made, server.serving() as reattach:
        terraform = {name: value for name, value in made.env.items() if not name.startswith("TF_")}
        settings = {"CLOUDSDK_CORE_PROJECT": "my-project", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
        made.env = {**terraform, **reattach, **settings, "CHECKPOINT_DISABLE": "1", "TF_INPUT": "0"}
        made.env["TF_CLI_ARGS_apply"] = made.env["TF_CLI_ARGS_destroy"] = "-auto-approve"
        del made.env["AUDIT_LOGS"]
        yield made


class TestEveryCommand:
    """Of first-deployment.md, deployment.md and README's part on deployments, in a new project and in order."""

    pytestmark = rehearsed.in_order

    @pytest.mark.parametrize(("page", "script"), scripts())
    def test_it_succeeds_in_a_new_project(self, project: rehearsed.Project, page: str, script: str):
        """The preflight fails in a new project, as the page says; nothing else does."""
        inside = "terraform " in script and "cd deploy/terraform" not in script
        run = subprocess.run(
            ["bash", "-ec", script],
            cwd=project.source / "deploy/terraform" if inside else project.source,
            env=project.env,
            input="my-project\n",  # confirms
            capture_output=True,
            text=True,
            timeout=1500,
        )
        fails = "--before" in script and "BLOCKED" in run.stdout
        assert run.returncode == 0 or fails, f"{script}\n{run.stdout[-2000:]}\n{run.stderr[-3000:]}"


def test_the_commands_that_are_not_run_are_those_of_the_list():
    lines = [line for page in PAGES for block in blocks(page) for line in block.splitlines()]
    for start in NOT_RUN:
        assert any(start in line for line in lines), start
