"""Compares Cloud Run's and Cloud Build's quotas of each region with what the deployment takes at most."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.inventory import Inventory
from deploy.preflight.findings import Finding, Level, Project

REGIONS = yaml.safe_load((Path(__file__).parent / "regions.yaml").read_text(encoding="utf-8"))
CONSOLE = "https://console.cloud.google.com/iam-admin/quotas"
GPU_REQUEST = "https://g.co/cloudrun/gpu-quota"
GPU_QUOTAS = {"nvidia-l4": "NvidiaL4Gpu", "nvidia-rtx-pro-6000": "NvidiaRtxPro6000Gpu"}
MILLI = 1000  # the quotas of CPUs and of RTX PRO 6000 count thousandths
BUILD_METRIC = "cloudbuild.googleapis.com/concurrent_public_pool_build_cpus"


@dataclass(frozen=True)
class Need:
    """What the instances of a function, the service or the job take in a region when all of them run."""

    name: str
    region: str
    instances: int
    cpus: float
    gib: float
    gpus: int = 0


def needs(system: Inventory) -> list[Need]:
    """The needs of every function, and of the GPU service and the jobs in each of their regions."""
    region, service = system["settings"]["region"], system["gpu_service"]
    found = [_need(name, region, entry, int(entry["max_instances"])) for name, entry in system["functions"].items()]
    found += [_need(service["name"], each, service, int(service["max_instances"])) for each in service["regions"]]
    jobs = (system["gpu_job"], system["cut_job"])
    return [*found, *(_need(job["name"], each, job, int(job["tasks"])) for job in jobs for each in job["regions"])]


def _need(name: str, region: str, entry: dict[str, Any], instances: int) -> Need:
    has_gpu = entry.get("gpu", "none") != "none"
    return Need(
        name,
        region,
        instances,
        instances * float(entry["cpu"]),
        instances * gibibytes(entry["memory"]),
        instances if has_gpu else 0,
    )


def gibibytes(memory: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", memory).groups()  # type: ignore[union-attr]
    return int(number) / (1024 if unit == "Mi" else 1)


def documents(system: Inventory) -> dict[str, str]:
    """What `findings` reads, as name of the document and path at cloudquotas.googleapis.com."""
    run = "run.googleapis.com/quotaInfos"
    paths = {"quota-cpu": f"{run}/CpuAllocPerProjectRegion", "quota-memory": f"{run}/MemAllocPerProjectRegion"}
    if quota := gpu_quota(system):
        paths["quota-gpu"] = f"{run}/{quota}"
    paths["quotas-build"] = "cloudbuild.googleapis.com/quotaInfos"
    return paths


def gpu_quota(system: Inventory) -> str:
    """The quota's id; quotas with and without zonal redundancy differ. Empty without a GPU."""
    service = system["gpu_service"]
    kind = GPU_QUOTAS.get(service["gpu"], "")
    return kind and f"{kind}Alloc{'' if service['zonal_redundancy'] else 'NoZonalRedundancy'}PerProjectRegion"


def findings(project: Project) -> Iterator[Finding]:
    yield from _allocation(project, "quota-cpu", "CPUs", lambda need: need.cpus, MILLI)
    yield from _allocation(project, "quota-memory", "GiB of memory", lambda need: need.gib, 1 << 30)
    if gpu_quota(project.system):
        yield from _gpus(project)
    yield from _builds(project)


def limit(info: dict[str, Any], region: str) -> int | None:
    """A quota's value in a region; None if the region has none. -1 means unlimited."""
    values = [
        int(entry.get("details", {}).get("value", 0))
        for entry in info.get("dimensionsInfos", [])
        if region in entry.get("applicableLocations", []) or entry.get("dimensions", {}).get("region") == region
    ]
    return None if not values else -1 if -1 in values else max(values)


def _allocation(project: Project, document: str, unit: str, amount: Any, scale: int) -> Iterator[Finding]:
    info = project.read(document)
    if info is None:
        yield _unread(project, document, f"The quota of {unit}")
        return
    everything, jobs = needs(project.system), {project.system[name]["name"] for name in ("gpu_job", "cut_job")}
    for region in sorted({need.region for need in everything}):
        granted = limit(info, region)
        if granted is None:
            yield Finding(Level.UNKNOWN, f"Cloud Run has no quota of {unit} in {region}", CONSOLE)
            continue
        available = granted / scale
        here = [need for need in everything if need.region == region]
        refused = [need for need in here if amount(need) > available >= 0]
        for need in refused:
            fits = int(need.instances * available / amount(need))
            yield Finding(
                # Cloud Run refuses such a service or function; of a job, some tasks wait.
                Level.NOTE if need.name in jobs else Level.BLOCKED,
                f"{need.name} takes up to {amount(need):g} {unit} in {region}, and the quota is {available:g}",
                f"{_lower(need.name, fits)}, or request {info.get('quotaId', document)} at {CONSOLE}",
            )
        together = sum(amount(need) for need in here if need.name not in jobs)
        if not refused and together > available >= 0:
            yield Finding(
                Level.NOTE,
                f"all instances together take up to {together:g} {unit} in {region}, and the quota is {available:g}: "
                "some wait while others run",
                f"request {info.get('quotaId', document)} at {CONSOLE}",
            )
        elif not refused:
            yield Finding(Level.OK, f"{'unlimited' if granted == -1 else f'{available:g}'} {unit} in {region}")


def _lower(name: str, instances: int) -> str:
    """The setting that makes an entry fit."""
    variable = {"gpu-service": "MAX_INSTANCES", "gpu-job": "JOB_TASKS"}.get(name)
    if instances < 1:
        return "choose a smaller instance"
    return f"set {variable}={instances}" if variable else f"lower max_instances to {instances} in deploy/inventory.yaml"


def _gpus(project: Project) -> Iterator[Finding]:
    gpu, quota, info = project.system["gpu_service"]["gpu"], gpu_quota(project.system), project.read("quota-gpu")
    documented = REGIONS["gpus"][gpu]
    if info is None:
        yield _unread(project, "quota-gpu", f"The quota of {gpu}")
    scale = MILLI if gpu == "nvidia-rtx-pro-6000" else 1
    for region in sorted({need.region for need in needs(project.system) if need.gpus}):
        if region in documented["by_invitation"] and info is None:
            others = f"or set GPU_REGIONS to some of {','.join(documented['regions'])}"
            yield Finding(Level.NOTE, f"Google offers {gpu} in {region} by invitation", others)
        elif region not in documented["regions"] + documented["by_invitation"] and not (info and limit(info, region)):
            yield Finding(
                Level.BLOCKED,
                f"{region} is not among the regions where Cloud Run is documented to offer {gpu}",
                f"set GPU_REGIONS to some of {','.join(documented['regions'])} ({REGIONS['gpus']['source']})",
            )
            continue
        if info is None:
            continue
        granted = limit(info, region) or 0
        available = granted // scale if granted >= scale else granted
        for need in (need for need in needs(project.system) if need.region == region and need.gpus):
            if need.gpus <= available or granted == -1:
                yield Finding(Level.OK, f"{need.name}: {need.gpus} of {available} {gpu} in {region}")
                continue
            yield Finding(
                Level.BLOCKED,
                f"{need.name} takes up to {need.gpus} {gpu} in {region}, and the quota {quota} is {available}",
                f"request it at {GPU_REQUEST}" + (f", or {_lower(need.name, available)}" if available else ""),
            )


def _builds(project: Project) -> Iterator[Finding]:
    """Some new projects may build only in a few regions: elsewhere their quota of build CPUs is 0."""
    region, unrestricted = project.system["settings"]["region"], REGIONS["cloud_build"]["unrestricted"]
    listed = project.read("quotas-build")
    values = [
        limit(info, region) for info in (listed or {}).get("quotaInfos", []) if info.get("metric") == BUILD_METRIC
    ]
    if any(values):
        yield Finding(Level.OK, f"Cloud Build builds in {region}")
    elif 0 in values:
        yield Finding(
            Level.BLOCKED,
            f"Cloud Build is restricted in {region} for this project: its quota of build CPUs is 0",
            f"set REGION to one of {','.join(unrestricted)}, or request the quota at {CONSOLE}",
        )
    elif listed is None:
        yield _unread(project, "quotas-build", "The quota of Cloud Build")
    elif region in unrestricted:
        yield Finding(Level.OK, f"Cloud Build builds in {region}")
    else:
        yield Finding(
            Level.UNKNOWN,
            f"Cloud Build may be restricted in {region} for a new project",
            f"the regions open to all are {','.join(unrestricted)} ({REGIONS['cloud_build']['source']})",
        )


def _unread(project: Project, document: str, what: str) -> Finding:
    return project.unknown(document, what, f"ask for roles/cloudquotas.viewer, or look at {CONSOLE}")
