"""Chooses how a checkpoint's images are prepared and which network classifies them."""

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import Device
from gpu_service.errors import StartError
from gpu_service.inputs.images.geometry import Geometry
from gpu_service.inputs.images.pixels import ImageInputs
from gpu_service.networks import resnet, vit
from gpu_service.networks.auto import AutoImageClassifier

OwnNetwork = vit.VisionClassifier | resnet.ResidualClassifier


def classifier(checkpoint: Checkpoint, device: Device) -> tuple[ImageInputs, OwnNetwork | AutoImageClassifier]:
    """The inputs and the network of an image classifier: our own, unless transformers alone can follow the checkpoint.

    Raises:
        StartError: it cannot be served as transformers would.
    """
    inputs = ImageInputs(checkpoint)
    geometry = inputs.geometry
    if geometry is None:  # the processor normalises
        network = AutoImageClassifier(checkpoint, device, (0.0,), (1.0,))
    elif own := _own_network(checkpoint, device, geometry):
        return inputs, own
    else:
        network = AutoImageClassifier(checkpoint, device, *geometry.normalisation.values)
    if inputs.preparation.fixed is None:
        other = tuple(side + 32 if side > 4 else side for side in inputs.sample.shape)
        inputs.accepts_any_size = network.reads(other, inputs.sample)
    return inputs, network


def _own_network(checkpoint: Checkpoint, device: Device, geometry: Geometry) -> OwnNetwork | None:
    """None for other architectures, and for checkpoints whose weights have other names or shapes."""
    network: OwnNetwork
    try:
        if vit.is_known(checkpoint.config, geometry.fixed):
            network = vit.VisionClassifier(checkpoint, device, *geometry.normalisation.values)
        elif resnet.is_known(checkpoint.config, geometry.fixed):
            network = resnet.ResidualClassifier(checkpoint, device, *geometry.normalisation.values)
        else:
            return None
    except (KeyError, StartError):  # other names, or no safetensors
        return None
    return network if len(network.head.weight) == len(checkpoint.labels) else None
