"""The Workflows management and Workflow Executions APIs, REST v1 and gRPC, over the interpreter."""

from emulator.workflows_api.service import Workflows

__all__ = ["Workflows"]
