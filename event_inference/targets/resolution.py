"""Finds the pipeline that is meant, and never a cloud where a local stack was meant.

The first of these decides:

1. options: `--local`, `--context`, `--project`;
2. the environment: `EINF_LOCAL`, `EINF_CONTEXT`, `EINF_PROJECT`, or the emulator variables of a local stack;
3. the nearest local stack, if it is running: `.local` in this folder or one above it;
4. the current context of the user's configuration;
5. gcloud's project.

4 and 5 are refused where something points at a laptop: a local stack's folder whose process has ended, gcloud's
endpoints on loopback, or the local stack's project. The command may have been meant for the laptop.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from event_inference.errors import TargetError
from event_inference.targets import contexts, gcloud, local_stack
from event_inference.targets.contexts import Contexts
from event_inference.targets.local_stack import LocalStack
from event_inference.targets.request import Request
from event_inference.targets.target import DEFAULT_PREFIX, DEFAULT_REGION, LOCAL_PROJECT, Target

EMULATOR_VARIABLES = ("STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "WORKFLOWS_EMULATOR_HOST")
_OVERRIDES = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
_LOOPBACK = re.compile(r"https?://(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)(?=[:/]|$)", re.IGNORECASE)
_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")


def resolve(
    request: Request | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    home: Path | None = None,
) -> Target:
    """The pipeline that is meant.

    Args:
        request: the caller's own options.
        environ, folder, home: in place of the process's environment, working folder and the user's home.

    Raises:
        TargetError: none was found, options contradict each other, or a cloud would be used by mistake.
        UnreachableError: a local stack was named that is not running.
    """
    env = os.environ if environ is None else environ
    return _Resolution(env, folder or Path.cwd(), home or Path.home()).target(request or Request())


class _Resolution:
    def __init__(self, environ: Mapping[str, str], folder: Path, home: Path) -> None:
        self._environ, self._folder, self._home = environ, folder, home

    def target(self, options: Request) -> Target:
        variables = Request.of_environment(self._environ)
        if options.choice("--{}"):
            return self._chosen(options, options.over(variables, resources=False), "--{}")
        settings = options.over(variables)
        emulator = self._emulator_host()
        if chosen := variables.choice("EINF_{}"):
            if emulator and chosen != "local":
                raise TargetError(
                    f"EINF_{chosen.upper()} names a cloud, and STORAGE_EMULATOR_HOST a local stack. Unset one of them."
                )
            return self._chosen(variables, settings, "EINF_{}")
        stack = local_stack.nearest(self._folder)
        if emulator:
            return self._of_emulator(emulator, stack)
        if stack and stack.addresses:
            return stack.target(f"nearest running stack, {stack.folder}")
        return self._implicit_cloud(settings, stack)

    def _chosen(self, chosen: Request, settings: Request, spelling: str) -> Target:
        name = chosen.choice(spelling)
        origin = chosen.spelt(str(name), spelling)
        if chosen.local:
            return local_stack.at(Path(chosen.local).expanduser()).target(origin)
        if chosen.context:
            return self._of_context(self._contexts(), chosen.context, settings, origin)
        return self._cloud(str(chosen.project), settings, origin)

    def _emulator_host(self) -> str | None:
        """The address of the local stack that the emulator variables name.

        Raises:
            TargetError: some of them are missing, so some requests would go to the cloud.
        """
        given = [name for name in EMULATOR_VARIABLES if self._environ.get(name)]
        missing = [name for name in EMULATOR_VARIABLES if name not in given]
        if given and missing:
            raise TargetError(
                f"{' and '.join(given)} point at a local stack, but {' and '.join(missing)} would be the cloud's. "
                'Run eval "$(einf local env)", or unset them.'
            )
        if not given:
            return None
        return re.sub(r"^https?://|/+$", "", self._environ["STORAGE_EMULATOR_HOST"])

    def _of_emulator(self, http: str, stack: LocalStack | None) -> Target:
        origin = "STORAGE_EMULATOR_HOST"
        if stack and stack.addresses and stack.addresses["http"] == http:
            return stack.target(origin)
        environ = self._environ
        return Target.laptop(
            origin=origin,
            http=http,
            grpc=re.sub(r"^https?://|/+$", "", environ["PUBSUB_EMULATOR_HOST"]),
            project=environ.get("GOOGLE_CLOUD_PROJECT") or LOCAL_PROJECT,
            region=environ.get("CLOUDSDK_WORKFLOWS_LOCATION") or DEFAULT_REGION,
            variables=environ,
        )

    def _implicit_cloud(self, settings: Request, stack: LocalStack | None) -> Target:
        configured = self._contexts()
        if configured.current:
            keys = configured.context(configured.current)
            if "local" not in keys:
                self._refuse_mistake(stack, f"the context {configured.current}")
            origin = f"current context {configured.current}"
            return replace(self._of_context(configured, configured.current, settings, origin), explicit=False)
        cloud = gcloud.read(self._environ, self._home)
        if cloud.project:
            self._refuse_mistake(stack, f"the project {cloud.project}")
            region = Request(region=cloud.region)
            return replace(self._cloud(cloud.project, settings.over(region), cloud.source), explicit=False)
        if stack:
            stack.target("")  # raises: it is not running
        raise TargetError(
            "No pipeline was found. Start a local one with einf local up in the repository, or name a cloud with "
            "--project ID."
        )

    def _refuse_mistake(self, stack: LocalStack | None, cloud: str) -> None:
        if stack:
            raise TargetError(
                f"A local stack ran in {stack.folder} and is not running now; {cloud} was not used instead. Start the "
                f"stack with einf local up, or name the cloud with --project or --context."
            )
        for name, value in self._environ.items():
            if name.startswith(_OVERRIDES) and _LOOPBACK.match(value):
                raise TargetError(
                    f"{name} points gcloud at a local stack that was not found; {cloud} was not used instead. Unset "
                    f"it, or name the cloud with --project or --context."
                )

    def _of_context(self, configured: Contexts, name: str, settings: Request, origin: str) -> Target:
        keys = configured.context(name)
        if "local" in keys:
            return local_stack.at(Path(keys["local"]).expanduser()).target(origin)
        own = Request(**{key: value for key, value in keys.items() if key != "endpoints"})
        return replace(self._cloud(keys["project"], settings.over(own), origin, keys.get("endpoints")), context=name)

    def _cloud(
        self, project: str, settings: Request, origin: str, endpoints: Mapping[str, str] | None = None
    ) -> Target:
        if project == LOCAL_PROJECT:
            raise TargetError(
                f"{project} ({origin}) is the local stack's project, and no local stack was found. Start one with "
                f"einf local up, or name it with --local FOLDER."
            )
        if not _PROJECT.fullmatch(project):
            raise TargetError(f"{project!r} ({origin}) is not the id of a project, such as my-project-123.")
        _check_endpoints(endpoints or {}, origin)
        return Target.cloud(
            origin=origin,
            project=project,
            region=settings.region or DEFAULT_REGION,
            service_prefix=settings.service_prefix or DEFAULT_PREFIX,
            names=settings.resources,
            endpoints=endpoints,
        )

    def _contexts(self) -> Contexts:
        return contexts.read(contexts.configuration_file(self._environ, self._home))


def _check_endpoints(endpoints: Mapping[str, str], origin: str) -> None:
    """Credentials travel only encrypted, or on this machine."""
    for api, url in endpoints.items():
        if url.startswith("http:") and not _LOOPBACK.match(url):
            raise TargetError(f"The endpoint of {api} ({origin}) must begin with https://, not {url}")
