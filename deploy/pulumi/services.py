"""What runs: the functions, the GPU service and the workflow that calls them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_gcp as gcp

from deploy import stage
from deploy.pulumi.foundation import Foundation
from deploy.pulumi.system import System

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Services:
    """Names and addresses by the inventory's names."""

    names: dict[str, pulumi.Output[str]]
    urls: dict[str, pulumi.Output[str]]


def make(system: System, base: Foundation) -> Services:
    functions = {name: _function(system, base, name) for name in system["functions"]}
    gpu_name = system["gpu_service"]["name"]
    gpu = _gpu_service(system, base, gpu_name)
    running = Services(
        names={name: function.name for name, function in functions.items()} | {gpu_name: gpu.name},
        urls={name: function.service_config.apply(_address) for name, function in functions.items()}
        | {gpu_name: gpu.uri},
    )
    _workflow(system, base, running)
    pulumi.export("urls", running.urls)
    return running


def _function(system: System, base: Foundation, name: str) -> gcp.cloudfunctionsv2.Function:
    function, folder = system["functions"][name], name.replace("-", "_")
    staged = stage.stage(folder)
    source = gcp.storage.BucketObject(
        f"source of {name}",
        bucket=base.buckets["source"].name,
        name=f"functions/{name}-{_digest(staged)}.zip",
        source=pulumi.FileArchive(str(staged)),
    )
    return gcp.cloudfunctionsv2.Function(
        name,
        name=system.name(name),
        location=system.region,
        build_config=gcp.cloudfunctionsv2.FunctionBuildConfigArgs(
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
            vpc_connector=system.settings["vpc_connector"] or None,
            environment_variables=system.environment(name),
        ),
        opts=pulumi.ResourceOptions(depends_on=base.permissions),
    )


def _gpu_service(system: System, base: Foundation, name: str) -> gcp.cloudrunv2.Service:
    service, connector = system["gpu_service"], system.settings["vpc_connector"]
    args = gcp.cloudrunv2
    container = args.ServiceTemplateContainerArgs(
        image=service["image"],
        ports=args.ServiceTemplateContainerPortsArgs(container_port=service["port"]),
        resources=args.ServiceTemplateContainerResourcesArgs(
            limits={"cpu": str(service["cpu"]), "memory": service["memory"], "nvidia.com/gpu": "1"},
            cpu_idle=False,
            startup_cpu_boost=service["cpu_boost"],
        ),
        envs=[
            args.ServiceTemplateContainerEnvArgs(name=variable, value=value)
            for variable, value in system.environment(name).items()
        ],
        startup_probe=args.ServiceTemplateContainerStartupProbeArgs(
            http_get=args.ServiceTemplateContainerStartupProbeHttpGetArgs(
                path=service["startup_probe"]["path"], port=service["port"]
            ),
            **_times(service["startup_probe"]),
        ),
        liveness_probe=args.ServiceTemplateContainerLivenessProbeArgs(
            http_get=args.ServiceTemplateContainerLivenessProbeHttpGetArgs(
                path=service["liveness_probe"]["path"], port=service["port"]
            ),
            **_times(service["liveness_probe"]),
        ),
    )
    return gcp.cloudrunv2.Service(
        name,
        name=system.name(name),
        location=system.region,
        deletion_protection=False,
        ingress="INGRESS_TRAFFIC_INTERNAL_ONLY" if system.settings["ingress"] == "internal" else "INGRESS_TRAFFIC_ALL",
        template=args.ServiceTemplateArgs(
            service_account=base.accounts[name].email,
            timeout=f"{service['timeout']}s",
            max_instance_request_concurrency=service["concurrency"],
            gpu_zonal_redundancy_disabled=not service["zonal_redundancy"],
            execution_environment="EXECUTION_ENVIRONMENT_GEN2",
            node_selector=args.ServiceTemplateNodeSelectorArgs(accelerator=service["gpu"]),
            scaling=args.ServiceTemplateScalingArgs(
                min_instance_count=service["min_instances"], max_instance_count=service["max_instances"]
            ),
            vpc_access=args.ServiceTemplateVpcAccessArgs(connector=connector) if connector else None,
            containers=[container],
        ),
        opts=pulumi.ResourceOptions(depends_on=base.permissions),
    )


def _address(config: Any) -> str:
    """The run.app address, which is also the audience of tokens."""
    address: str = config.uri
    return address


def _times(probe: dict[str, int]) -> dict[str, Any]:
    return {
        "period_seconds": probe["period"],
        "timeout_seconds": probe["timeout"],
        "failure_threshold": probe["failures"],
    }


def _workflow(system: System, base: Foundation, running: Services) -> None:
    workflow = system["workflow"]
    gcp.workflows.Workflow(
        "pipeline",
        name=system.prefix,
        region=system.region,
        service_account=base.accounts["workflow"].id,
        source_contents=(ROOT / workflow["source"]).read_text(encoding="utf-8"),
        call_log_level="LOG_ERRORS_ONLY",
        deletion_protection=False,
        user_env_vars={
            **workflow["env"],
            **{variable: running.urls[service] for variable, service in workflow["urls"].items()},
        },
    )


def _digest(folder: Path) -> str:
    """Names a source by what is in it, so that changed code is deployed again."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
