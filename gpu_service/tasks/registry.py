"""The tasks: one module and one line here for each."""

from gpu_service.checkpoints.registry import Task as Name
from gpu_service.tasks.classification import ImageClassifier, TextClassifier
from gpu_service.tasks.detection import ObjectDetection
from gpu_service.tasks.embedding import FeatureExtraction
from gpu_service.tasks.entities import TokenClassification
from gpu_service.tasks.task import Task
from gpu_service.tasks.zero_shot import ZeroShotClassification

# In this order, a request that names no model prefers a task among those that read its kind of instance.
TASKS: dict[Name, type[Task]] = {
    "text-classification": TextClassifier,
    "token-classification": TokenClassification,
    "zero-shot-classification": ZeroShotClassification,
    "feature-extraction": FeatureExtraction,
    "image-classification": ImageClassifier,
    "object-detection": ObjectDetection,
}
