"""What runs on a GPU, or on CPUs with gpu_type none: the service in each region; and jobs for very large batches."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from deploy.pulumi.foundation import Foundation
from deploy.pulumi.system import System


def services(system: System, base: Foundation) -> dict[str, gcp.cloudrunv2.Service]:
    """The service by region, in the order that the workflow tries."""
    return {region: _service(system, base, region) for region in system["gpu_service"]["regions"]}


def jobs(
    system: System, base: Foundation, job: dict[str, Any], image: pulumi.Input[str]
) -> dict[str, gcp.cloudrunv2.Job]:
    """A job of the inventory, which runs the image, by region."""
    return {region: _job(system, base, job, image, region) for region in job["regions"]}


def _job(
    system: System, base: Foundation, job: dict[str, Any], image: pulumi.Input[str], region: str
) -> gcp.cloudrunv2.Job:
    args, chosen = gcp.cloudrunv2, system.settings
    secrets = system.secrets() if "gpu" in job["env"] else {}
    interfaces = [
        args.JobTemplateTemplateVpcAccessNetworkInterfaceArgs(
            network=chosen["vpc_network"], subnetwork=chosen["vpc_subnetwork"]
        )
    ]
    container = args.JobTemplateTemplateContainerArgs(
        image=image,
        commands=job["command"],
        resources=args.JobTemplateTemplateContainerResourcesArgs(limits=_limits(job)),
        envs=[
            *(
                args.JobTemplateTemplateContainerEnvArgs(name=variable, value=value)
                for variable, value in system.environment(job["name"]).items()
            ),
            *(
                args.JobTemplateTemplateContainerEnvArgs(
                    name=variable,
                    value_source=args.JobTemplateTemplateContainerEnvValueSourceArgs(
                        secret_key_ref=args.JobTemplateTemplateContainerEnvValueSourceSecretKeyRefArgs(
                            secret=secret, version="latest"
                        )
                    ),
                )
                for variable, secret in secrets.items()
            ),
        ],
    )
    task = args.JobTemplateTemplateArgs(
        service_account=base.accounts[job["name"]].email,
        timeout=f"{job['task_timeout']}s",
        max_retries=job["max_retries"],
        gpu_zonal_redundancy_disabled=not job["zonal_redundancy"] if _has_gpu(job) else None,
        execution_environment="EXECUTION_ENVIRONMENT_GEN2",
        node_selector=args.JobTemplateTemplateNodeSelectorArgs(accelerator=job["gpu"]) if _has_gpu(job) else None,
        encryption_key=system.key,
        vpc_access=args.JobTemplateTemplateVpcAccessArgs(**_vpc(system, interfaces))
        if _vpc(system, interfaces)
        else None,
        containers=[container],
    )
    return gcp.cloudrunv2.Job(
        f"{job['name']} {region}",
        name=system.name(job["name"]),
        location=region,
        deletion_protection=False,
        template=args.JobTemplateArgs(task_count=job["tasks"], parallelism=job["parallelism"], template=task),
        opts=pulumi.ResourceOptions(depends_on=base.permissions),
    )


def _service(system: System, base: Foundation, region: str) -> gcp.cloudrunv2.Service:
    service, args = system["gpu_service"], gcp.cloudrunv2
    name, chosen = service["name"], system.settings
    interfaces = [
        args.ServiceTemplateVpcAccessNetworkInterfaceArgs(
            network=chosen["vpc_network"], subnetwork=chosen["vpc_subnetwork"]
        )
    ]
    gpu = args.ServiceTemplateNodeSelectorArgs(accelerator=service["gpu"]) if _has_gpu(service) else None
    return gcp.cloudrunv2.Service(
        f"{name} {region}",
        name=system.name(name),
        location=region,
        deletion_protection=False,
        ingress="INGRESS_TRAFFIC_INTERNAL_ONLY" if system.settings["ingress"] == "internal" else "INGRESS_TRAFFIC_ALL",
        template=args.ServiceTemplateArgs(
            service_account=base.accounts[name].email,
            timeout=f"{service['timeout']}s",
            max_instance_request_concurrency=service["concurrency"],
            gpu_zonal_redundancy_disabled=not service["zonal_redundancy"] if _has_gpu(service) else None,
            execution_environment="EXECUTION_ENVIRONMENT_GEN2",
            node_selector=gpu,
            scaling=args.ServiceTemplateScalingArgs(
                min_instance_count=service["min_instances"], max_instance_count=service["max_instances"]
            ),
            encryption_key=system.key,
            vpc_access=args.ServiceTemplateVpcAccessArgs(**_vpc(system, interfaces))
            if _vpc(system, interfaces)
            else None,
            containers=[_container(service, system.environment(name), system.secrets())],
        ),
        traffics=_traffic(service["revision"]),
        opts=pulumi.ResourceOptions(depends_on=base.permissions),
    )


def egress(system: System) -> str:
    return str(system.settings["vpc_egress"]).upper().replace("-", "_")


def _vpc(system: System, interfaces: list[Any]) -> dict[str, Any]:
    """The arguments of vpc_access: the network, else the connector, else none."""
    chosen = system.settings
    if chosen["vpc_network"]:
        return {"network_interfaces": interfaces, "egress": egress(system)}
    return {"connector": chosen["vpc_connector"], "egress": egress(system)} if chosen["vpc_connector"] else {}


def _traffic(revision: str) -> list[gcp.cloudrunv2.ServiceTrafficArgs]:
    """All traffic to the latest revision, or to this one; then the latest is reached under its tag."""
    args, kind = gcp.cloudrunv2.ServiceTrafficArgs, "TRAFFIC_TARGET_ALLOCATION_TYPE"
    if not revision:
        return [args(type=f"{kind}_LATEST", percent=100)]
    return [
        args(type=f"{kind}_REVISION", revision=revision, percent=100),
        args(type=f"{kind}_LATEST", percent=0, tag="candidate"),
    ]


def _container(
    service: dict[str, Any], environment: dict[str, str], secrets: dict[str, str]
) -> gcp.cloudrunv2.ServiceTemplateContainerArgs:
    args, port = gcp.cloudrunv2, service["port"]
    startup, liveness = service["startup_probe"], service["liveness_probe"]
    return args.ServiceTemplateContainerArgs(
        image=service["image"],
        ports=args.ServiceTemplateContainerPortsArgs(container_port=port),
        resources=args.ServiceTemplateContainerResourcesArgs(
            limits=_limits(service), cpu_idle=service["cpu_idle"], startup_cpu_boost=service["cpu_boost"]
        ),
        envs=[
            *(args.ServiceTemplateContainerEnvArgs(name=name, value=value) for name, value in environment.items()),
            *(
                args.ServiceTemplateContainerEnvArgs(
                    name=name,
                    value_source=args.ServiceTemplateContainerEnvValueSourceArgs(
                        secret_key_ref=args.ServiceTemplateContainerEnvValueSourceSecretKeyRefArgs(
                            secret=secret, version="latest"
                        )
                    ),
                )
                for name, secret in secrets.items()
            ),
        ],
        startup_probe=args.ServiceTemplateContainerStartupProbeArgs(
            http_get=args.ServiceTemplateContainerStartupProbeHttpGetArgs(path=startup["path"], port=port),
            **_times(startup),
        ),
        liveness_probe=args.ServiceTemplateContainerLivenessProbeArgs(
            http_get=args.ServiceTemplateContainerLivenessProbeHttpGetArgs(path=liveness["path"], port=port),
            **_times(liveness),
        ),
    )


def _limits(sized: dict[str, Any]) -> dict[str, str]:
    limits = {"cpu": str(sized["cpu"]), "memory": sized["memory"]}
    return limits | {"nvidia.com/gpu": "1"} if _has_gpu(sized) else limits


def _has_gpu(sized: dict[str, Any]) -> bool:
    return bool(sized["gpu"] != "none")


def _times(probe: dict[str, int]) -> dict[str, Any]:
    return {
        "period_seconds": probe["period"],
        "timeout_seconds": probe["timeout"],
        "failure_threshold": probe["failures"],
    }
