"""Combinations of variables that Google would refuse, or that would make the system misbehave."""

from collections.abc import Iterator, Mapping
from typing import Any

LAG_DAYS = 7  # by which documents outlive their uploads; Cloud Storage deletes what is due within a day or two


def contradictions(chosen: Mapping[str, Any]) -> Iterator[str]:
    """What contradicts itself, with what to do, given every variable's value."""
    regions = chosen["gpu_regions"]
    if chosen["gpu_revision"] and len(regions) > 1:
        yield "gpu_revision names a revision of one region; with several gpu_regions leave it empty."
    weights = [int(weight) for weight in chosen["gpu_region_weights"]]
    if weights and (len(weights) != len(regions) or not any(weights)):
        yield f"gpu_region_weights needs a number for each of {regions}, one of them above 0; it is {weights}."
    if chosen["tenants"] and not int(chosen["max_executions_per_hour"]):
        yield "tenants needs a max_executions_per_hour above 0, of which tenant_share is a part."
    inputs, outputs = int(chosen["input_delete_after"]), int(chosen["output_delete_after"])
    if outputs and (chosen["existing_input_bucket"] or not inputs or outputs < inputs + LAG_DAYS):
        yield (
            f"output_delete_after is {outputs}: documents must be kept at least {LAG_DAYS} days longer than uploads, "
            "or sweeps process the uploads again. Set input_delete_after to less, or output_delete_after to 0; with "
            "existing_input_bucket, only 0 is possible."
        )
    if bool(chosen["vpc_network"]) != bool(chosen["vpc_subnetwork"]):
        yield "vpc_network and vpc_subnetwork go together: set both or neither."
    elif chosen["vpc_subnetwork"] and regions != [_location(chosen["vpc_subnetwork"])]:
        yield f"vpc_subnetwork must lie in the only GPU region; gpu_regions is {regions}."
    if chosen["kms_key"] and not regions == [chosen["region"]] == [_location(chosen["kms_key"])]:
        yield f"kms_key must lie in the region {chosen['region']}, which must be the only GPU region."


def overloads(sections: Mapping[str, Any]) -> Iterator[str]:
    """What the functions of the filled-in inventory have no room for, with what to do."""
    function = sections["functions"]["on-message"]
    calls = int(function["max_instances"]) * int(function["concurrency"])
    most = int(sections["env"]["collect"]["MAX_COLLECTIONS"])
    if most >= calls:
        yield (
            f"max_collections is {most}, but on-message handles {calls} messages at the same time and some are others. "
            "Raise functions.on-message.max_instances in deploy/inventory.yaml, or lower max_collections."
        )


def _location(resource: str) -> str:
    """The region in a name such as projects/P/regions/R/subnetworks/S."""
    return resource.split("/")[3]
