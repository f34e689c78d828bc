"""The files of a model's folder that are downloaded."""

import pytest

from gpu_service.checkpoints import files

BASICS = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]


@pytest.mark.parametrize(
    ("weights", "needed"),
    [
        (["model.safetensors"], ["model.safetensors"]),
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin"], ["pytorch_model.bin"]),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"], None),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], None),
        (["model.safetensors", "model_old.safetensors", "model.fp16.safetensors"], ["model.safetensors"]),
        (["tf_model.h5", "flax_model.msgpack", "model.onnx", "training_args.bin"], []),
    ],
)
def test_one_format_of_the_weights_is_needed(weights: list[str], needed: list[str] | None):
    assert files.needed([*BASICS, *weights]) == [*(weights if needed is None else needed), *BASICS]


def test_modules_of_sentence_transformers_are_needed():
    names = ["1_Pooling/config.json", "2_Dense/model.safetensors", "2_Dense/config.json"]
    assert sorted(files.needed([*BASICS, "model.safetensors", *names])) == sorted(
        [*BASICS, "model.safetensors", *names]
    )


def test_each_module_has_a_format_of_the_weights_of_its_own():
    needed = ["model.safetensors", "2_Dense/pytorch_model.bin", "3_Dense/model.safetensors"]
    assert files.needed([*BASICS, *needed, "pytorch_model.bin", "3_Dense/pytorch_model.bin"]) == [*needed, *BASICS]


def test_the_rest_of_a_repository_is_not_needed():
    rest = [
        "README.md", ".gitattributes", "onnx/model.onnx", "onnx/config.json", "openvino/openvino_model.bin",
        "optimizer.pt",
        "checkpoint-500/model.safetensors", "checkpoint-500/config.json", "runs/events.out", "trainer_state.json",
        "rng_state.pth", "scheduler.pt", "coreml/model.mlmodel", "config.json/", "modeling_custom.py",
    ]  # fmt: skip
    assert files.needed([*BASICS, *rest]) == BASICS
