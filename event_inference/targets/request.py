"""What a caller asks for: the options of one place, such as the command line or the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from event_inference.errors import TargetError

RESOURCES = (
    "input_bucket", "work_bucket", "output_bucket", "models_bucket", "topic", "workflow", "collect_subscription",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Options that choose a pipeline; None for those that are not given.

    Attributes:
        local: folder of a local stack's state (`.local`), or the folder above it.
        context: name of a context in the configuration.
        project, region, service_prefix: a deployment in a cloud.
        input_bucket … collect_subscription: resources with other names than the deployment's.
    """

    local: str | None = None
    context: str | None = None
    project: str | None = None
    region: str | None = None
    service_prefix: str | None = None
    input_bucket: str | None = None
    work_bucket: str | None = None
    output_bucket: str | None = None
    models_bucket: str | None = None
    topic: str | None = None
    workflow: str | None = None
    collect_subscription: str | None = None

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Self:
        """The variables `EINF_LOCAL`, `EINF_CONTEXT`, `EINF_PROJECT`, …; an empty one counts as not set."""
        return cls(**{field.name: environ.get(f"EINF_{field.name.upper()}") or None for field in fields(cls)})

    def choice(self, spelling: str) -> str | None:
        """Which of `local`, `context` and `project` chooses the pipeline; None for none of them.

        Args:
            spelling: how the caller writes an option, such as `--{}` or `EINF_{}`.

        Raises:
            TargetError: more than one does.
        """
        chosen = [name for name in ("local", "context", "project") if getattr(self, name)]
        if len(chosen) > 1:
            options = " and ".join(self.spelt(name, spelling) for name in chosen)
            raise TargetError(f"{options} each choose a pipeline; give one of them.")
        return chosen[0] if chosen else None

    def spelt(self, name: str, spelling: str) -> str:
        return spelling.format(name.upper() if spelling.isupper() else name.replace("_", "-"))

    @property
    def resources(self) -> dict[str, str]:
        return {name: value for name in RESOURCES if (value := getattr(self, name))}

    def over(self, other: "Request", *, resources: bool = True) -> "Request":
        """The settings of these options, and the other's where these are not given.

        Args:
            resources: whether the other's resource names are for the same pipeline.
        """
        names = ("region", "service_prefix", *(RESOURCES if resources else ()))
        return replace(self, **{name: getattr(self, name) or getattr(other, name) for name in names})
