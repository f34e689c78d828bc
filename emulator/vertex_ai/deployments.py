"""Deployed models: starts a container for each, keeps them running, and brings them back after a restart."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from fnmatch import fnmatchcase

from emulator.googleapi.errors import (
    AlreadyExistsError,
    ApiError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from emulator.googleapi.messages import Json
from emulator.googleapi.timestamps import rfc3339
from emulator.stack.model import PROJECT_NUMBER, UNSAFE_VARIABLE, ContainerImage
from emulator.vertex_ai.containers import Container, ContainerError, Server, StartContainer
from emulator.vertex_ai.operations import TYPE, Operations
from emulator.vertex_ai.store import Store

_log = logging.getLogger(__name__)

_NEW = "0"  # in a traffic split, the model that is being deployed


class Deployments:
    """The containers of all deployed models.

    Args:
        images: which entry of the stack file serves which image.
        accounts: the accounts of the stack, by e-mail address.
        version: the version of a model, by its resource name.
        now: nanoseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        operations: Operations,
        images: Sequence[ContainerImage],
        accounts: dict[str, str],
        start_container: StartContainer,
        version: Callable[[str], Json],
        now: Callable[[], int],
    ) -> None:
        self._store, self._operations, self._version, self._now = store, operations, version, now
        self._images, self._accounts, self._start = images, accounts, start_container
        self._servers: dict[tuple[str, str], Server] = {}  # by the endpoint's name and the deployed model's id
        self._problems: dict[tuple[str, str], str] = {}  # why a model that was deployed earlier does not run
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the containers of deployed models, and continue what was interrupted."""
        for operation, request in self._store.unfinished():
            self._spawn(self._continue(operation, request))
        for endpoint in self._store.endpoints():
            for deployed in endpoint.get("deployedModels", ()):
                self._spawn(self._restore(endpoint["name"], deployed))

    async def stop(self) -> None:
        """Stop every container."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        self._servers.clear()

    def kill(self) -> None:
        """Kill every container, so that `stop` returns soon."""
        for server in self._servers.values():
            server.kill()

    def check_image(self, image: str) -> ContainerImage:
        """The entry of the stack file for an image.

        Raises:
            InvalidArgumentError: there is none.
        """
        for entry in self._images:
            if fnmatchcase(image, entry.image):
                return entry
        known = ", ".join(entry.image for entry in self._images) or "none"
        raise InvalidArgumentError(
            f"The emulator runs no container images. To say which command stands for {image}, add an entry to"
            f" `containers` of the stack file; its patterns are: {known}.",
            field="model.container_spec.image_uri",
        )

    def check(self, version: Json, deployed: Json) -> None:
        """Refuse what cannot be deployed.

        Raises:
            InvalidArgumentError: for its image, its variables or its account.
        """
        spec = version["containerSpec"]
        self.check_image(spec["imageUri"])
        for variable in spec.get("env", ()):
            if UNSAFE_VARIABLE.fullmatch(str(variable.get("name", ""))):
                raise InvalidArgumentError(
                    f"containerSpec.env: {variable['name']} decides what a process runs, so the emulator lets no"
                    " model set it"
                )
        account = deployed.get("serviceAccount")
        if account and account not in self._accounts:
            known = ", ".join(self._accounts)
            raise InvalidArgumentError(f"There is no service account {account}; there are {known}.")

    def deploy(self, endpoint: str, deployed: Json, split: dict[str, int]) -> Json:
        """Start deploying a model and return the operation."""
        request = {"verb": "deploy", "endpoint": endpoint, "deployed": deployed, "split": split}
        return self._begin(endpoint, "DeployModel", request)

    def undeploy(self, endpoint: str, deployed_id: str) -> Json:
        """Stop the container of a model that no request reaches any more, and return the operation."""
        request = {"verb": "undeploy", "endpoint": endpoint, "id": deployed_id}
        return self._begin(endpoint, "UndeployModel", request)

    def server(self, endpoint: str, deployed_id: str) -> Server:
        """The container of a deployed model.

        Raises:
            UnavailableError: it has not started again, or cannot.
        """
        if server := self._servers.get((endpoint, deployed_id)):
            return server
        problem = self._problems.get((endpoint, deployed_id), "it is starting")
        raise UnavailableError(f"The deployed model {deployed_id} is not available: {problem}.")

    def _begin(self, endpoint: str, kind: str, request: Json) -> Json:
        operation = self._operations.begin(endpoint, kind, request)
        self._spawn(self._continue(operation, request))
        return operation

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _continue(self, operation: Json, request: Json) -> None:
        try:
            if request["verb"] == "deploy":
                await self._deploy(operation, request["endpoint"], request["deployed"], request["split"])
            else:
                await self._undeploy(operation, request["endpoint"], request["id"])
        except ApiError as error:
            self._operations.fail(operation, error)

    async def _deploy(self, operation: Json, endpoint: str, deployed: Json, split: dict[str, int]) -> None:
        try:
            server = await self._start(self._container(endpoint, deployed))
        except ContainerError as error:
            raise FailedPreconditionError(
                f"Model server never became ready. Please validate that your model file or container configuration"
                f" are valid. {error}"
            ) from error
        try:
            with self._store.transaction():
                self._join(endpoint, deployed, split)
                response = {"@type": f"{TYPE}DeployModelResponse", "deployedModel": deployed}
                self._operations.succeed(operation, response)
        except BaseException:
            await server.stop()
            raise
        self._servers[endpoint, deployed["id"]] = server

    async def _undeploy(self, operation: Json, endpoint: str, deployed_id: str) -> None:
        self._problems.pop((endpoint, deployed_id), None)
        if server := self._servers.pop((endpoint, deployed_id), None):
            await server.stop()
        self._operations.succeed(operation, {"@type": f"{TYPE}UndeployModelResponse"})

    def _join(self, name: str, deployed: Json, split: dict[str, int]) -> None:
        """Add a model that runs to its endpoint."""
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            raise NotFoundError(f"The Endpoint {name} was deleted meanwhile.")
        others = {each["id"] for each in endpoint.get("deployedModels", ())}
        if deployed["id"] in others:
            raise AlreadyExistsError(f"The endpoint has a deployed model {deployed['id']}.")
        if unknown := set(split) - others - {_NEW}:
            raise FailedPreconditionError(f"The model {min(unknown)} of the trafficSplit was undeployed meanwhile.")
        endpoint["deployedModels"] = [*endpoint.get("deployedModels", ()), deployed]
        if split:
            shares = {deployed["id"] if key == _NEW else key: share for key, share in split.items()}
            endpoint["trafficSplit"] = shares
        endpoint["updateTime"] = rfc3339(self._now())
        self._store.write_endpoint(endpoint)

    async def _restore(self, endpoint: str, deployed: Json) -> None:
        """Start the container of a model that was deployed in an earlier run."""
        key = endpoint, deployed["id"]
        try:
            self._servers[key] = await self._start(self._container(endpoint, deployed))
        except (ContainerError, ApiError) as error:
            self._problems[key] = str(error)
            _log.warning("a deployed model does not run", extra={"deployed_model": deployed["id"], "why": str(error)})

    def _container(self, endpoint: str, deployed: Json) -> Container:
        version = self._version(f"{deployed['model']}@{deployed['modelVersionId']}")
        spec, endpoint_id = version["containerSpec"], endpoint.rsplit("/", 1)[1]
        health = f"/v1/endpoints/{endpoint_id}/deployedModels/{deployed['id']}"
        machine = deployed.get("dedicatedResources", {}).get("machineSpec", {})
        env = {
            **{variable["name"]: str(variable.get("value", "")) for variable in spec.get("env", ())},
            "AIP_ACCELERATOR_TYPE": machine.get("acceleratorType", ""),
            "AIP_DEPLOYED_MODEL_ID": deployed["id"],
            "AIP_ENDPOINT_ID": endpoint_id,
            "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
            "AIP_HEALTH_ROUTE": spec.get("healthRoute") or health,
            "AIP_MACHINE_TYPE": machine.get("machineType", ""),
            "AIP_MODE": "PREDICTION",
            "AIP_MODE_VERSION": "1.0.0",
            "AIP_PREDICT_ROUTE": predict_route(spec, endpoint_id, deployed["id"]),
            "AIP_PROJECT_NUMBER": PROJECT_NUMBER,
            "AIP_STORAGE_URI": version.get("artifactUri", ""),
        }
        return Container(
            name=f"{endpoint_id}-{deployed['id']}",
            entry=self.check_image(spec["imageUri"]).name,
            account=self._accounts.get(deployed.get("serviceAccount", ""), ""),
            health_route=env["AIP_HEALTH_ROUTE"],
            env=env,
        )


def predict_route(spec: Json, endpoint_id: str, deployed_id: str) -> str:
    """The path at which a container takes predictions."""
    return spec.get("predictRoute") or f"/v1/endpoints/{endpoint_id}/deployedModels/{deployed_id}:predict"
