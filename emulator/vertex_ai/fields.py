"""Reads the resources in requests: known fields, those that the emulator has no use for, and enumerations by number."""

import re

from emulator.googleapi.errors import InvalidArgumentError, UnimplementedError
from emulator.googleapi.messages import Json

_IMAGE_FIELDS = (
    "imageUri command args env ports predictRoute healthRoute invokeRoutePrefix grpcPorts deploymentTimeout"
    " sharedMemorySizeMb startupProbe healthProbe livenessProbe"
)
# The fields of Google's messages, by the place where a request has them.
_FIELDS: dict[str, frozenset[str]] = {
    place: frozenset(names.split())
    for place, names in {
        "model": """
            name versionId versionAliases versionCreateTime versionUpdateTime displayName description
            versionDescription defaultCheckpointId predictSchemata metadataSchemaUri metadata supportedExportFormats
            trainingPipeline pipelineJob containerSpec artifactUri supportedDeploymentResourcesTypes
            supportedInputStorageFormats supportedOutputStorageFormats createTime updateTime deployedModels
            explanationSpec etag labels dataStats encryptionSpec modelSourceInfo originalModelInfo metadataArtifact
            baseModelSource satisfiesPzs satisfiesPzi checkpoints
            """,
        "model.containerSpec": _IMAGE_FIELDS,
        "endpoint": """
            name displayName description deployedModels trafficSplit etag labels createTime updateTime encryptionSpec
            network enablePrivateServiceConnect privateServiceConnectConfig modelDeploymentMonitoringJob
            predictRequestResponseLoggingConfig dedicatedEndpointEnabled dedicatedEndpointDns clientConnectionConfig
            satisfiesPzs satisfiesPzi genAiAdvancedFeaturesConfig privateModelServerEnabled
            """,
        "deployedModel": """
            dedicatedResources automaticResources sharedResources id model modelVersionId displayName createTime
            explanationSpec disableExplanations serviceAccount disableContainerLogging enableAccessLogging
            privateEndpoints fasterDeploymentConfig status systemLabels checkpointId speculativeDecodingSpec
            """,
        "deployedModel.dedicatedResources": """
            machineSpec minReplicaCount maxReplicaCount requiredReplicaCount autoscalingMetricSpecs spot
            """,
        "deployedModel.dedicatedResources.machineSpec": """
            machineType acceleratorType acceleratorCount gpuPartitionSize tpuTopology reservationAffinity
            """,
    }.items()
}
# What would change how a model is served or reached here.
_NOT_EMULATED = {
    "model": "explanationSpec baseModelSource",
    "model.containerSpec": "command args grpcPorts invokeRoutePrefix",
    "endpoint": """
        network enablePrivateServiceConnect privateServiceConnectConfig dedicatedEndpointEnabled
        predictRequestResponseLoggingConfig genAiAdvancedFeaturesConfig privateModelServerEnabled
        """,
    "deployedModel": """
        automaticResources sharedResources explanationSpec fasterDeploymentConfig checkpointId speculativeDecodingSpec
        """,
}
# google.cloud.aiplatform.v1.AcceleratorType, which Google's Python client writes as numbers.
_ACCELERATORS = {
    0: "ACCELERATOR_TYPE_UNSPECIFIED", 1: "NVIDIA_TESLA_K80", 2: "NVIDIA_TESLA_P100", 3: "NVIDIA_TESLA_V100",
    4: "NVIDIA_TESLA_P4", 5: "NVIDIA_TESLA_T4", 6: "TPU_V2", 7: "TPU_V3", 8: "NVIDIA_TESLA_A100",
    9: "NVIDIA_A100_80GB", 10: "TPU_V4_POD", 11: "NVIDIA_L4", 12: "TPU_V5_LITEPOD", 13: "NVIDIA_H100_80GB",
    14: "NVIDIA_H100_MEGA_80GB", 15: "NVIDIA_H200_141GB", 16: "NVIDIA_B200", 17: "NVIDIA_GB200",
    18: "NVIDIA_RTX_PRO_6000",
}  # fmt: skip
_MACHINE = "deployedModel.dedicatedResources.machineSpec"
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_CAPITAL = re.compile(r"_([a-z])")
_WHOLE = 100  # percent


def read(place: str, value: object) -> Json:
    """The fields of a resource, such as `model`, without those that are empty.

    Raises:
        InvalidArgumentError: the value is not an object, or has an unknown field.
        UnimplementedError: a field asks for what the emulator does not have.
    """
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"Invalid value at '{place}': an object is expected", field=place)
    fields = {}
    for name, content in value.items():
        camel = _camel(name)
        if camel not in _FIELDS[place]:
            problem = f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."
            raise InvalidArgumentError(problem, field=place)
        if content in (None, "", [], {}, False):
            continue
        if camel in _NOT_EMULATED.get(place, "").split():
            raise UnimplementedError(f"{place}.{camel} is not emulated; docs/emulator.md says what is")
        inner = f"{place}.{camel}"
        fields[camel] = read(inner, content) if inner in _FIELDS else content
    if place == _MACHINE and "acceleratorType" in fields:
        fields["acceleratorType"] = _accelerator(fields["acceleratorType"])
    return fields


def request(value: Json, known: str) -> Json:
    """The fields of a request, by their names in JSON.

    Raises:
        InvalidArgumentError: there is an unknown field.
    """
    fields = {_camel(name): content for name, content in value.items()}
    for name in fields:
        if name not in known.split():
            raise InvalidArgumentError(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    return fields


def mask(text: str, known: str) -> list[str]:
    """The paths of an update mask, as JSON names.

    Raises:
        InvalidArgumentError: the mask is empty or names a field that cannot be changed.
    """
    paths = [_camel(path.strip()) for path in text.split(",") if path.strip()]
    unknown = [path for path in paths if path not in known.split()]
    if unknown or not paths:
        allowed = ", ".join(known.split())
        raise InvalidArgumentError(f"updateMask must name some of {allowed}, not {text!r:.200}", field="update_mask")
    return paths


def aliases(values: object, *, removal: bool = False) -> list[str]:
    """The version aliases in a request; with `removal`, each may have the prefix `-`.

    Raises:
        InvalidArgumentError: one is malformed.
    """
    names = values if isinstance(values, list) else [values]
    for name in names:
        bare = name.removeprefix("-") if removal and isinstance(name, str) else name
        if not isinstance(bare, str) or not _ALIAS.fullmatch(bare):
            form = "two to 128 letters, digits and hyphens, beginning with a small letter, not ending with a hyphen"
            raise InvalidArgumentError(f"{name!r:.200} is not a version alias: {form}", field="version_aliases")
    return list(dict.fromkeys(names))


def traffic_split(value: object, known: set[str]) -> dict[str, int]:
    """Percentages by the ids of deployed models, which add up to 100, or none.

    Raises:
        InvalidArgumentError: an id is not in `known`, or the percentages don't add up.
    """
    shares = value if isinstance(value, dict) else {}
    if not isinstance(value, dict) or not all(type(share) is int and share >= 0 for share in shares.values()):
        raise InvalidArgumentError("trafficSplit must map ids to whole percentages", field="traffic_split")
    if unknown := sorted(set(shares) - known):
        raise InvalidArgumentError(f"trafficSplit: no model {unknown[0]!r} is deployed here", field="traffic_split")
    if shares and sum(shares.values()) != _WHOLE:
        total = sum(shares.values())
        raise InvalidArgumentError(
            f"The sum of the percentages in trafficSplit is {total}, not 100", field="traffic_split"
        )
    return {name: share for name, share in shares.items() if share}


def _accelerator(value: object) -> str:
    name = _ACCELERATORS.get(value) if isinstance(value, int) else value
    if name not in _ACCELERATORS.values():
        raise InvalidArgumentError(f"Invalid value at '{_MACHINE}.accelerator_type': {value!r:.100}", field=_MACHINE)
    return str(name)


def _camel(name: str) -> str:
    return _CAPITAL.sub(lambda match: match[1].upper(), name)
