"""What runs: the functions, the GPU service and job, and the workflow."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_gcp as gcp

from deploy import stage
from deploy.pulumi import gpu
from deploy.pulumi.foundation import Foundation
from deploy.pulumi.system import System

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Services:
    """By the inventory's names: resource names by region, and URLs, one per region, comma-separated."""

    names: dict[str, dict[str, pulumi.Output[str]]]
    urls: dict[str, pulumi.Output[str]]


def create(system: System, base: Foundation) -> Services:
    functions = {name: _function(system, base, name) for name in system["functions"]}
    services = gpu.services(system, base)
    gpu_job, cut_job = system["gpu_job"], system["cut_job"]
    jobs = {
        gpu_job["name"]: gpu.jobs(system, base, gpu_job, gpu_job["image"]),
        cut_job["name"]: gpu.jobs(system, base, cut_job, _image(functions[cut_job["function"]])),
    }
    names = {name: {system.region: function.name} for name, function in functions.items()}
    names[system["gpu_service"]["name"]] = {region: service.name for region, service in services.items()}
    names |= {name: {region: job.name for region, job in by_region.items()} for name, by_region in jobs.items()}
    urls = {name: function.service_config.apply(_url) for name, function in functions.items()}
    uris = [service.uri for service in services.values()]
    urls[system["gpu_service"]["name"]] = pulumi.Output.all(*uris).apply(",".join)
    running = Services(names, urls)
    _workflow(system, base, running)
    pulumi.export("urls", running.urls)
    return running


def _function(system: System, base: Foundation, name: str) -> gcp.cloudfunctionsv2.Function:
    function, folder = system["functions"][name], name.replace("-", "_")
    staged, connector = stage.stage(folder), system.settings["vpc_connector"]
    source = gcp.storage.BucketObject(
        f"source of {name}",
        bucket=base.buckets["source"],
        name=f"functions/{name}-{_digest(staged)}.zip",
        source=pulumi.FileArchive(str(staged)),
    )
    return gcp.cloudfunctionsv2.Function(
        name,
        name=system.name(name),
        location=system.region,
        kms_key_name=system.key,
        build_config=gcp.cloudfunctionsv2.FunctionBuildConfigArgs(
            worker_pool=system.settings["build_worker_pool"] or None,
            # With a key, images must be in a registry that has it, too.
            docker_repository=base.registry if system.key else None,
            runtime=system["runtime"],
            entry_point=folder,
            service_account=base.accounts["builder"].id,
            source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceArgs(
                storage_source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceStorageSourceArgs(
                    bucket=source.bucket, object=source.name
                )
            ),
        ),
        service_config=gcp.cloudfunctionsv2.FunctionServiceConfigArgs(
            service_account_email=base.accounts[name].email,
            available_cpu=str(function["cpu"]),
            available_memory=function["memory"],
            max_instance_request_concurrency=function["concurrency"],
            timeout_seconds=function["timeout"],
            min_instance_count=0,
            max_instance_count=function["max_instances"],
            ingress_settings="ALLOW_INTERNAL_ONLY" if system.settings["ingress"] == "internal" else "ALLOW_ALL",
            vpc_connector=connector or None,
            vpc_connector_egress_settings=gpu.egress(system) if connector else None,
            environment_variables=system.environment(name),
            secret_volumes=_secret_volumes(system, name),
        ),
        opts=pulumi.ResourceOptions(depends_on=base.permissions),
    )


def _image(function: gcp.cloudfunctionsv2.Function) -> pulumi.Output[str]:
    """The image that Cloud Functions built, which the function's service of Cloud Run names."""
    service = gcp.cloudrunv2.get_service_output(
        name=function.name, location=function.location, opts=pulumi.InvokeOutputOptions(depends_on=[function])
    )
    image: pulumi.Output[str] = service.templates[0].containers[0].image
    return image


def _secret_volumes(
    system: System, name: str
) -> list[gcp.cloudfunctionsv2.FunctionServiceConfigSecretVolumeArgs] | None:
    secret = system.secret_file(name)
    if not secret:
        return None
    args = gcp.cloudfunctionsv2
    latest = args.FunctionServiceConfigSecretVolumeVersionArgs(version="latest", path=secret["file"])
    volume = args.FunctionServiceConfigSecretVolumeArgs(
        mount_path=secret["folder"], project_id=system.project, secret=secret["secret"], versions=[latest]
    )
    return [volume]


def _url(config: Any) -> str:
    """The run.app URL, which is also the audience of tokens."""
    url: str = config.uri
    return url


def _workflow(system: System, base: Foundation, running: Services) -> None:
    workflow = system["workflow"]
    gcp.workflows.Workflow(
        "pipeline",
        name=system.prefix,
        region=system.region,
        service_account=base.accounts["workflow"].id,
        source_contents=(ROOT / workflow["source"]).read_text(encoding="utf-8"),
        call_log_level="LOG_ERRORS_ONLY",
        crypto_key_name=system.key,
        deletion_protection=False,
        user_env_vars={
            **workflow["env"],
            **{variable: running.urls[service] for variable, service in workflow["urls"].items()},
        },
        opts=pulumi.ResourceOptions(depends_on=base.permissions),
    )


def _digest(folder: Path) -> str:
    """A digest of a folder's files, which names the source, so that changed code is deployed again."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
