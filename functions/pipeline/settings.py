"""The functions' settings, read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline import times
from pipeline.errors import ConfigurationError
from pipeline.kinds import KINDS

LONGEST_WAIT = 86_400  # seconds; well below the days for which the work bucket keeps claims
MAX_BYTES = {**{name: kind.max_bytes for name, kind in KINDS.items()}, "message": 8 << 20}


@dataclass(frozen=True, slots=True)
class Settings:
    """Buckets by name, sizes in bytes, times in seconds."""

    input_bucket: str
    work_bucket: str
    output_bucket: str
    workflow: str = ""
    claim_lease: float = 60.0
    execution_timeout: float = 10.0
    region: str = "us-central1"  # by which documents have prices
    gpu_usd_per_second: float = 0.0002907  # an L4 with 4 vCPU and 16 GiB, without zonal redundancy
    revision: str = "local"
    messages_topic: str = "messages"  # the topic in the replay commands of failed documents
    max_executions_per_hour: int = 0  # 0 for no limit
    max_hops: int = 3
    shard_seconds: float = 10.0  # for which a shard should keep the GPU service busy
    records_per_shard: int = 0  # 0 to derive it from shard_seconds
    cut_job_bytes: int = 0  # above which the cut job cuts a batch; 0 if there is no such job
    micro_batch_size: int = 1000  # the most small uploads that share an execution
    tenants: str = ""  # what tells them apart: folder, or a key of metadata; empty: nothing
    tenant_share: float = 0.1  # of the hourly cap, that an hour's inputs of a tenant may take before others
    max_collections: int = 4  # at the same time; the functions' other calls need some
    models_bucket: str = ""  # holds models.json with the rules, and traffic.json; empty: no rules, no experiments
    models: str = ""  # gs:// URI or path of the models.json that is served; empty: the one in the models bucket
    vertex_registry: str = ""  # projects/P/locations/REGION, whose Model Registry follows the traffic; empty: none
    gpu_regions: tuple[str, ...] = ()  # of the GPU service, as the workflow's GPU_SERVICE_URL lists them
    gpu_region_weights: tuple[int, ...] = ()  # by which inputs are spread over these; empty for equal ones
    keep_latest: bool = True  # whether latest/ holds a copy of each object's newest document
    profile: str = ""  # the served profile of models.json; empty: its only one
    collect_subscription: str = ""  # resource name of the subscription that holds their notifications; empty: none
    max_wait: Mapping[str, int] = field(default_factory=dict)  # for inputs to be predicted on together, by prefix
    gpu_type: str = "nvidia-l4"  # of the GPU service and its job
    gpu_cpu: float = 0  # CPUs of an instance; 0 for what its type needs
    gpu_memory_gib: float = 0
    gpu_concurrency: int = 32  # requests that an instance of the service handles at once
    min_instances: int = 0  # of the GPU service
    max_instances: int = 2
    job_tasks: int = 2
    job_threshold_records: int = 100_000  # above which a batch runs as the GPU job
    max_bytes: Mapping[str, int] = field(default_factory=lambda: dict(MAX_BYTES))

    def max_wait_of(self, name: str) -> int:
        """The seconds that an object's longest prefix says; 0 for at once."""
        prefix = max((prefix for prefix in self.max_wait if name.startswith(prefix)), key=len, default=None)
        return 0 if prefix is None else self.max_wait[prefix]


def load(environ: Mapping[str, str] | None = None, *, starts_executions: bool = False) -> Settings:
    """Reads the settings; `starts_executions` makes WORKFLOW, a full resource name, mandatory.

    Raises:
        ConfigurationError: a variable is missing or not a number, or two buckets are the same.
    """
    env = os.environ if environ is None else environ
    settings = Settings(
        input_bucket=_text(env, "INPUT_BUCKET"),
        work_bucket=_text(env, "WORK_BUCKET"),
        output_bucket=_text(env, "OUTPUT_BUCKET"),
        workflow=_text(env, "WORKFLOW") if starts_executions else env.get("WORKFLOW", ""),
        claim_lease=_number(env, "CLAIM_LEASE_SECONDS", 60.0),
        execution_timeout=_number(env, "EXECUTION_TIMEOUT_SECONDS", 10.0),
        region=env.get("REGION", "").strip() or "us-central1",
        gpu_usd_per_second=_number(env, "GPU_USD_PER_SECOND", 0.0002907),
        revision=env.get("K_REVISION") or "local",
        messages_topic=env.get("MESSAGES_TOPIC", "").strip() or "messages",
        max_executions_per_hour=int(_number(env, "MAX_EXECUTIONS_PER_HOUR", 0)),
        max_hops=int(_number(env, "MAX_HOPS", 3)),
        shard_seconds=_number(env, "SHARD_SECONDS", 10.0),
        records_per_shard=int(_number(env, "RECORDS_PER_SHARD", 0)),
        cut_job_bytes=int(_number(env, "CUT_JOB_BYTES", 0)),
        micro_batch_size=int(_number(env, "MICRO_BATCH_SIZE", 1000)),
        tenants=env.get("TENANTS", "").strip(),
        tenant_share=_number(env, "TENANT_SHARE", 0.1),
        max_collections=int(_number(env, "MAX_COLLECTIONS", 4)),
        models_bucket=env.get("MODELS_BUCKET", "").strip(),
        models=env.get("MODELS", "").strip(),
        vertex_registry=env.get("VERTEX_REGISTRY", "").strip(),
        gpu_regions=tuple(part.strip() for part in env.get("GPU_REGIONS", "").split(",") if part.strip()),
        gpu_region_weights=_weights(env),
        keep_latest=_switch(env, "KEEP_LATEST", default=True),
        profile=env.get("PROFILE", "").strip(),
        collect_subscription=env.get("COLLECT_SUBSCRIPTION", "").strip(),
        max_wait=_waits(env.get("MAX_WAIT", "")),
        gpu_type=env.get("GPU_TYPE", "").strip() or "nvidia-l4",
        gpu_cpu=_number(env, "GPU_CPU", 0),
        gpu_memory_gib=_number({"GPU_MEMORY": env.get("GPU_MEMORY", "").strip().removesuffix("Gi")}, "GPU_MEMORY", 0),
        gpu_concurrency=int(_number(env, "GPU_CONCURRENCY", 32)),
        min_instances=int(_number(env, "MIN_INSTANCES", 0)),
        max_instances=int(_number(env, "MAX_INSTANCES", 2)),
        job_tasks=int(_number(env, "JOB_TASKS", 2)),
        job_threshold_records=int(_number(env, "JOB_THRESHOLD_RECORDS", 100_000)),
        max_bytes={kind: int(_number(env, f"MAX_{kind.upper()}_BYTES", size)) for kind, size in MAX_BYTES.items()},
    )
    buckets = (settings.input_bucket, settings.work_bucket, settings.output_bucket)
    if len(set(buckets)) < len(buckets):
        raise ConfigurationError(
            "INPUT_BUCKET, WORK_BUCKET and OUTPUT_BUCKET must differ, or the pipeline would process its own output."
        )
    return settings


def _text(env: Mapping[str, str], name: str) -> str:
    if value := env.get(name, "").strip():
        return value
    raise ConfigurationError(f"The environment variable {name} is not set.")


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"The environment variable {name} must be a number, 0 or more: {text!r}.")
    return value


def _switch(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = env.get(name, "").strip().lower() or str(default).lower()
    if text not in ("true", "false"):
        raise ConfigurationError(f"The environment variable {name} must be true or false: {text!r}.")
    return text == "true"


def _weights(env: Mapping[str, str]) -> tuple[int, ...]:
    """Reads `3,1,0`: a whole number for each of GPU_REGIONS."""
    text, regions = env.get("GPU_REGION_WEIGHTS", "").strip(), env.get("GPU_REGIONS", "").strip()
    if not text:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts) or not any(map(int, parts)):
        raise ConfigurationError(f"GPU_REGION_WEIGHTS must be whole numbers, one of them above 0: {text!r}.")
    if len(parts) != len([region for region in regions.split(",") if region.strip()]):
        raise ConfigurationError(f"GPU_REGION_WEIGHTS must have a number for each of {regions!r}: {text!r}.")
    return tuple(map(int, parts))


def _waits(text: str) -> dict[str, int]:
    """Reads `1h,live/=0,nightly/=6h`: a duration for all inputs, and others by prefix."""
    waits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        prefix, _, duration = part.rpartition("=")
        try:
            waits[prefix] = times.seconds(duration)
        except ValueError:
            waits[prefix] = LONGEST_WAIT + 1
        if waits[prefix] > LONGEST_WAIT:
            raise ConfigurationError(f"MAX_WAIT must have durations such as 90s, 15m or 1h, at most 24h: {part!r}.")
    return waits
