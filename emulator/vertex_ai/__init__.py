"""Vertex AI's Model Registry and endpoints, whose deployed models are served by processes of this machine."""

from emulator.vertex_ai.containers import Container, ContainerError, Server, StartContainer
from emulator.vertex_ai.service import VertexAI

__all__ = ["Container", "ContainerError", "Server", "StartContainer", "VertexAI"]
