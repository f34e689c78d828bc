"""The inventory with this stack's variables, and the names of resources."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from deploy import inventory


class System:
    """The inventory by sections: `system["buckets"]`."""

    def __init__(self) -> None:
        config = pulumi.Config("event-inference")
        prefix = f"{config.name}:"
        names = (key.removeprefix(prefix) for key in pulumi.runtime.config.CONFIG.get() if key.startswith(prefix))
        inventory.check_names(name.partition("[")[0] for name in names)
        values = {name: value for name in inventory.variables() if (value := config.get(name)) is not None}
        for name, variable in inventory.variables().items():
            if name in values and isinstance(variable.get("default"), bool | list):
                values[name] = config.require_object(name)
        if not values.get("gpu_image"):
            raise inventory.VariableError("gpu_image is not set: build the image first, as docs/deployment.md says.")
        self.inventory = inventory.load(values)
        self.project: str = self.settings["project_id"]
        self.region: str = self.settings["region"]
        self.prefix: str = self.settings["service_prefix"]
        self.key: str | None = self.settings["kms_key"] or None
        self.number = gcp.organizations.get_project(project_id=self.project).number

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.inventory["settings"])

    def __getitem__(self, section: str) -> Any:
        return self.inventory[section]

    def name(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def environment(self, name: str) -> dict[str, str]:
        return inventory.environment(self.inventory, name)

    def secrets(self) -> dict[str, str]:
        return inventory.secrets(self.inventory)

    def secret_file(self, function: str) -> dict[str, str]:
        return inventory.secret_file(self.inventory, function)
