"""Image classifiers with random weights: architectures and processors' settings, served and held to transformers."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image, ImageOps

from gpu_service.checkpoints.checkpoint import Checkpoint
from gpu_service.checkpoints.device import choose
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError, StartError
from gpu_service.inputs.payloads import Payload
from gpu_service.networks.auto import AutoImageClassifier
from gpu_service.parameters import Parameters
from gpu_service.serving.model import Model
from tests.gpu_service.parity.cases import Case

TOLERANCE = 1e-3  # of scores in float32
LABELS = 5
SPREAD = 2.0  # of the logits, so that scores differ between images
# This random network magnifies float32's noise: with 2.0 its scores in a batch and alone differ by 0.002.
LESS_SPREAD = {"efficientnet": 0.5}
ALL = Parameters(top_k=LABELS)


def photo(width: int, height: int, seed: int) -> Image.Image:
    """Waves in each colour with some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    layers = []
    for _ in range(3):
        level = np.full((height, width), rng.uniform(60, 200), dtype=np.float32)
        for _ in range(3):
            level += rng.uniform(10, 50) * np.sin(x / rng.uniform(4, 90) + y / rng.uniform(4, 90) + rng.uniform(0, 6))
        layers.append(level + rng.normal(0, 8, (height, width)))
    return Image.fromarray(np.clip(np.stack(layers, -1), 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(90, 60, seed), "JPEG", quality=95, exif=exif.tobytes())


def _few() -> Iterator[tuple[str, bytes]]:
    yield "photo", encoded(photo(97, 61, 1))
    yield "small", encoded(photo(9, 14, 2))
    yield "one pixel", encoded(Image.new("RGB", (1, 1), (200, 30, 90)))
    yield "banner", encoded(photo(400, 11, 3))
    yield "turned", turned(4)
    yield "grey", encoded(photo(50, 70, 5).convert("L"))
    yield "JPEG", encoded(photo(640, 427, 6), "JPEG", quality=90)


def _more() -> Iterator[tuple[str, bytes]]:
    for seed, (width, height) in enumerate(
        ((32, 32), (33, 32), (224, 224), (256, 255), (57, 300), (301, 40), (641, 480), (2, 3), (1, 90), (90, 1)), 10
    ):
        yield f"{width} × {height}", encoded(photo(width, height, seed))
    yield "tower", encoded(photo(13, 700, 30))
    yield "palette", encoded(photo(80, 60, 31).convert("P"))
    yield "one bit", encoded(photo(80, 60, 32).convert("1"))
    yield "opaque", encoded(photo(80, 60, 33).convert("RGBA"))
    yield "CMYK", encoded(photo(80, 60, 34).convert("CMYK"), "JPEG", quality=95)
    yield "grey JPEG", encoded(photo(80, 60, 35).convert("L"), "JPEG", quality=95)
    yield "WebP", encoded(photo(80, 60, 36), "WEBP", lossless=True)
    yield "BMP", encoded(photo(80, 60, 37), "BMP")
    yield "TIFF", encoded(photo(80, 60, 38), "TIFF")
    yield "animated", encoded(photo(80, 60, 39), "GIF", save_all=True, append_images=[photo(80, 60, 40)])
    yield "progressive", encoded(photo(300, 200, 41), "JPEG", quality=80, progressive=True)
    yield "large JPEG", encoded(photo(2600, 1900, 42), "JPEG", quality=90)
    yield "white", encoded(Image.new("RGB", (64, 48), "white"))
    yield "black", encoded(Image.new("RGB", (64, 48)))


FEW = dict(_few())


def many() -> dict[str, bytes]:
    return {**FEW, **dict(_more())}


# --- checkpoints -----------------------------------------------------------------------------------

HIDDEN = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
PATCHES = {**HIDDEN, "patch_size": 8, "initializer_range": 0.2}
STAGES = {"depths": [1, 1], "hidden_sizes": [8, 16]}
VISION = {**PATCHES, "image_size": 32}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {  # the configuration's class and settings, for 32 pixels
    "ViT": ("ViTConfig", VISION),
    "DeiT": ("DeiTConfig", VISION),
    "BEiT": ("BeitConfig", {**VISION, "use_mean_pooling": True}),
    "DINOv2": ("Dinov2Config", {**PATCHES, "image_size": 32, "mlp_ratio": 2}),
    "ViT-MSN": ("ViTMSNConfig", VISION),
    "Data2Vec": ("Data2VecVisionConfig", VISION),
    "Swin": ("SwinConfig", {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2],
                            "window_size": 4, "initializer_range": 0.2}),
    "Swin v2": ("Swinv2Config", {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1],
                                 "num_heads": [2, 2], "window_size": 4, "initializer_range": 0.2}),
    "ResNet": ("ResNetConfig", {**STAGES, "embedding_size": 8, "layer_type": "basic"}),
    "RegNet": ("RegNetConfig", {**STAGES, "embedding_size": 8, "groups_width": 4}),
    "BiT": ("BitConfig", {**STAGES, "embedding_size": 8, "num_groups": 4}),
    "ConvNeXt": ("ConvNextConfig", {"depths": [1, 1], "hidden_sizes": [8, 16], "num_stages": 2,
                                    "initializer_range": 0.2, "layer_scale_init_value": 1.0}),
    "ConvNeXt v2": ("ConvNextV2Config", {"depths": [1, 1], "hidden_sizes": [8, 16], "num_stages": 2,
                                         "initializer_range": 0.2}),
    "PoolFormer": ("PoolFormerConfig", {"depths": [1, 1], "hidden_sizes": [8, 16], "num_encoder_blocks": 2,
                                        "patch_sizes": [7, 3], "strides": [4, 2], "padding": [2, 1],
                                        "layer_scale_init_value": 1.0, "initializer_range": 0.2}),
    "LeViT": ("LevitConfig", {"image_size": 32, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4],
                              "depths": [1, 1, 1], "key_dim": [4, 4, 4], "patch_size": 16,
                              "down_ops": [["Subsample", 4, 4, 4, 2, 2], ["Subsample", 4, 6, 4, 2, 2]]}),
    "EfficientNet": ("EfficientNetConfig", {"image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.3,
                                            "hidden_dim": 320}),
    "MobileViT": ("MobileViTConfig", {"image_size": 32, "hidden_sizes": [16, 20, 24], "neck_hidden_sizes":
                                      [4, 8, 12, 16, 20, 24, 32], "num_attention_heads": 2, "initializer_range": 0.2}),
    "MobileViT v2": ("MobileViTV2Config", {"image_size": 32, "width_multiplier": 0.125, "n_attn_blocks": [1, 1, 1],
                                           "output_stride": 8,
                                           "base_attn_unit_dims": [64, 64, 64], "initializer_range": 0.2}),
    "CvT": ("CvtConfig", {"embed_dim": [8, 16, 24], "num_heads": [1, 2, 3], "depth": [1, 2, 3],
                          "mlp_ratio": [2.0, 2.0, 2.0], "initializer_range": 0.2}),
    "MobileNet v1": ("MobileNetV1Config", {"image_size": 32, "depth_multiplier": 0.25, "min_depth": 8}),
    "MobileNet v2": ("MobileNetV2Config", {"image_size": 32, "depth_multiplier": 0.25, "min_depth": 8}),
    "CLIP": ("CLIPConfig", {"vision_config": {**VISION, "projection_dim": 16}, "text_config": HIDDEN}),
    "SigLIP": ("SiglipConfig", {"vision_config": VISION, "text_config": HIDDEN}),
    "SegFormer": ("SegformerConfig", {"image_size": 32, "num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [4, 2],
                                      "hidden_sizes": [8, 16], "patch_sizes": [7, 3], "strides": [4, 2],
                                      "num_attention_heads": [1, 2], "mlp_ratios": [2, 2], "initializer_range": 0.2}),
    "FocalNet": ("FocalNetConfig", {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1],
                                    "hidden_sizes": [16, 32], "focal_levels": [1, 1], "focal_windows": [3, 3],
                                    "initializer_range": 0.2}),
}  # fmt: skip


def config(architecture: str, **changes: Any) -> Any:
    name, settings = ARCHITECTURES[architecture]
    labels = {index: f"kind {index}" for index in range(changes.pop("num_labels", LABELS))}
    return getattr(transformers, name)(**{**settings, "id2label": labels, **changes})


def model(architecture: str, **changes: Any) -> Any:
    """A classifier whose scores differ between images."""
    torch.manual_seed(5)
    settings = config(architecture, **changes)
    settings.architectures = [f"{type(settings).__name__.removesuffix('Config')}ForImageClassification"]
    made = transformers.AutoModelForImageClassification.from_config(settings, dtype=torch.float32).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return made


def calibrate(made: Any, inputs: list[torch.Tensor]) -> None:
    """Scales the head so that the inputs' scores differ."""
    heads = [module for module in made.modules() if isinstance(module, torch.nn.Linear)]
    head = next(module for module in reversed(heads) if module.out_features == made.config.num_labels)
    torch.nn.init.normal_(head.weight)
    with torch.inference_mode():
        logits = torch.cat([made(pixel_values=each).logits for each in inputs])
        head.weight.mul_(LESS_SPREAD.get(made.config.model_type, SPREAD) / logits.std(0).mean())
        if head.bias is not None:
            head.bias.zero_()
            head.bias.sub_(torch.cat([made(pixel_values=each).logits for each in inputs]).mean(0))


def processed(folder: Path, channels: int) -> list[torch.Tensor]:
    """The pixels that transformers makes of some images."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    images = [Image.open(io.BytesIO(data)).convert("L" if channels == 1 else "RGB") for data in FEW.values()]
    return [processor(images=image, return_tensors="pt")["pixel_values"] for image in images]


def folder_of(architecture: str, processor: dict[str, Any] | None, **changes: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        made = model(architecture, **changes)
        made.save_pretrained(folder)
        if processor is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(processor))
            with suppress(ValueError, TypeError):  # the settings of checkpoints that are refused
                calibrate(made, processed(folder, changes.get("num_channels", 3)))
                made.save_pretrained(folder)

    return build


def changed(architecture: str, processor: dict[str, Any], change: Callable[[Path], None]) -> Callable[[Path], None]:
    """A folder of which something is changed after it was saved."""

    def build(folder: Path) -> None:
        folder_of(architecture, processor)(folder)
        change(folder)

    return build


def edited(**settings: Any) -> Callable[[Path], None]:
    """config.json with other settings; None removes one."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        content = {**json.loads(path.read_text()), **settings}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


def without_head(folder: Path) -> None:
    torch.manual_seed(5)
    transformers.ViTModel(config("ViT")).save_pretrained(folder)
    edited(architectures=["ViTForImageClassification"])(folder)


def as_bin(folder: Path) -> None:
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


def nested(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(path.read_text())}))
    path.write_text(json.dumps({"image_processor_type": "ViTImageProcessor", "size": 48}))


def rewritten(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "preprocessor_config.json").write_text(text) and None


def named(kind: str, **settings: Any) -> dict[str, Any]:
    return {"image_processor_type": f"{kind}ImageProcessor", **settings}


SQUARE = {"height": 32, "width": 32}
SHORTER = {"shortest_edge": 32}
VIT = named("ViT", size=SQUARE)
CROPPED = {"size": SHORTER, "crop_size": SQUARE, "do_center_crop": True}
USUAL: dict[str, tuple[dict[str, Any], str]] = {  # as the architecture is published, for 32 pixels, and its path
    "ViT": (VIT, "packed"),
    "DeiT": (named("DeiT", size={"height": 36, "width": 36}, crop_size=SQUARE, resample=3), "fallback"),
    "BEiT": (named("Beit", size=SQUARE, do_center_crop=False), "fallback"),
    "DINOv2": (named("Bit", size={"shortest_edge": 36}, crop_size=SQUARE), "fallback"),
    "ViT-MSN": (VIT, "fallback"),
    "Data2Vec": (named("Beit", size=SQUARE), "fallback"),
    "Swin": (VIT, "fallback"),
    "Swin v2": (VIT, "fallback"),
    "ResNet": (named("ConvNext", size=SHORTER, crop_pct=0.875, resample=3), "packed"),
    "RegNet": (named("ConvNext", size=SHORTER, crop_pct=0.875), "fallback"),
    "BiT": (named("Bit", **CROPPED), "fallback"),
    "ConvNeXt": (named("ConvNext", size=SHORTER, crop_pct=0.95), "fallback"),
    "ConvNeXt v2": (named("ConvNext", size=SHORTER), "fallback"),
    "PoolFormer": (named("PoolFormer", size=SHORTER, crop_size=SQUARE, crop_pct=0.9), "fallback"),
    "LeViT": (named("Levit", **CROPPED), "fallback"),
    "EfficientNet": (named("EfficientNet", size=SQUARE, rescale_offset=False, include_top=True), "fallback"),
    "MobileViT": (named("MobileViT", size={"shortest_edge": 36}, crop_size=SQUARE), "fallback"),
    "MobileViT v2": (named("MobileViT", size={"shortest_edge": 36}, crop_size=SQUARE), "fallback"),
    "CvT": (named("ConvNext", size=SHORTER, crop_pct=0.875), "fallback"),
    "MobileNet v1": (named("MobileNetV1", size={"shortest_edge": 36}, crop_size=SQUARE), "fallback"),
    "MobileNet v2": (named("MobileNetV2", size={"shortest_edge": 36}, crop_size=SQUARE), "fallback"),
    "CLIP": (named("CLIP", **CROPPED), "fallback"),
    "SigLIP": (named("Siglip", size=SQUARE), "fallback"),
    "SegFormer": (named("Segformer", size=SQUARE), "fallback"),
    "FocalNet": (named("Bit", **CROPPED), "fallback"),
}
VARIANTS: dict[str, dict[str, Any]] = {  # of ViT, all of 32 pixels
    "size as a number": named("ViT", size=32),
    "size as a list": named("ViT", size=[32, 32]),
    "old name": {"feature_extractor_type": "ViTFeatureExtractor", "size": 32},
    "fast": {"image_processor_type": "ViTImageProcessorFast", "size": SQUARE},
    "no name": {"size": SQUARE},
    "bicubic": named("ViT", size=32, resample=3),
    "Lanczos": named("ViT", size=32, resample=1),
    "nearest": named("ViT", size=32, resample=0),
    "box": named("ViT", size=32, resample=4),
    "Hamming": named("ViT", size=32, resample=5),
    "not rescaled": named("ViT", size=32, do_rescale=False, image_mean=[110, 120, 130], image_std=[60, 50, 55]),
    "rescaled by another factor": named("ViT", size=32, rescale_factor=1 / 127.5, image_mean=[1, 1, 1]),
    "not normalised": named("ViT", size=32, do_normalize=False),
    "neither": named("ViT", size=32, do_normalize=False, do_rescale=False),
    "one mean for all": named("ViT", size=32, image_mean=0.4, image_std=0.3),
    "mean and deviation": named("ViT", size=32, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]),
    "crop": named("ViT", size={"height": 37, "width": 45}, do_center_crop=True, crop_size=32),
    "crop as a dictionary": named("CLIP", size=38, do_center_crop=True, crop_size=SQUARE),
    "crop wider than the image": named("CLIP", size=20, do_center_crop=True, crop_size=32),
    "crop off": named("DeiT", size=32, do_center_crop=False),
    "PVT's processor": named("Pvt", size=SQUARE),
    "crop_pct": named("ConvNext", size=32, crop_pct=0.8),
    "colours converted": named("ViT", size=32, do_convert_rgb=True),
    "numbers left open": named("CLIP", size=32, crop_size=32),
}
OTHER_PATHS: dict[str, dict[str, Any]] = {  # of ViT, through transformers
    "second normalisation": named("EfficientNet", size=SQUARE, include_top=True),
    "offset": named("EfficientNet", size=SQUARE, include_top=False, rescale_offset=True),
    "channels flipped": named("MobileViT", size=SHORTER, crop_size=SQUARE),
    "channels not flipped": named("MobileViT", size=SHORTER, crop_size=SQUARE, do_flip_channel_order=False),
    "crop of Perceiver": named("Perceiver", size=SQUARE, crop_size=40),
}
FREE: dict[str, dict[str, Any]] = {  # of ResNet: images keep their aspect ratio
    "shorter side": named("CLIP", size=40, do_center_crop=False),
    "shorter and longer side": named("ViT", size={"shortest_edge": 40, "longest_edge": 64}),
    "not resized": named("ViT", do_resize=False),
}


def _cases() -> Iterator[Case]:
    for architecture, (processor, path) in USUAL.items():
        yield Case(architecture, "as published", folder_of(architecture, processor), path)
    for variant, processor in VARIANTS.items():
        yield Case("ViT", variant, folder_of("ViT", processor), "packed")
    for variant, processor in OTHER_PATHS.items():
        yield Case("ViT", variant, folder_of("ViT", processor), "fallback")
    for variant, processor in FREE.items():
        yield Case("ResNet", variant, folder_of("ResNet", processor), "fallback")
    yield Case(
        "ResNet",
        "bottleneck",
        folder_of("ResNet", USUAL["ResNet"][0], layer_type="bottleneck", hidden_sizes=[16, 32]),
        "packed",
    )
    yield Case("ResNet", "384 pixels, warped", folder_of("ResNet", named("ConvNext", size=384)), "packed")
    yield Case("ViT", "384 pixels", folder_of("ViT", named("ViT", size=384), image_size=384, patch_size=64), "packed")
    yield Case("ViT", "no bias in attention", folder_of("ViT", VIT, qkv_bias=False), "packed")
    yield Case("ViT", "another activation", folder_of("ViT", VIT, hidden_act="quick_gelu"), "fallback")
    wide = {"height": 32, "width": 48}
    yield Case("ViT", "not square", folder_of("ViT", named("ViT", size=wide), image_size=[32, 48]), "packed")
    yield Case(
        "ViT",
        "one channel",
        folder_of("ViT", named("ViT", size=32, image_mean=[0.4], image_std=[0.3]), num_channels=1),
        "fallback",
    )
    yield Case(
        "ResNet",
        "one channel, one mean",
        folder_of("ResNet", named("ViT", size=32, image_mean=0.4, image_std=0.3), num_channels=1),
        "fallback",
    )
    yield Case("ViT", "several labels", folder_of("ViT", VIT, problem_type="multi_label_classification"), "packed")
    yield Case("ViT", "one label", folder_of("ViT", VIT, num_labels=1), "packed")
    yield Case("ViT", "nested settings", changed("ViT", VIT, nested), "packed")
    yield Case("RegNet", "only pytorch_model.bin", changed("RegNet", USUAL["RegNet"][0], as_bin), "fallback")
    # Refused, each with what to do.
    yield Case("ViT", "no processor", folder_of("ViT", None), r"has no preprocessor_config\.json; copy it")
    yield Case("ViT", "size of another model", folder_of("ViT", named("ViT", size=48)), r"48.*32")
    yield Case("ViT", "no head", without_head_case, r"lacks weights of a classifier \(classifier")
    yield Case(
        "ViT", "processor of another library", folder_of("ViT", named("Unheard", size=32)), "transformers cannot"
    )
    yield Case("ViT", "longest side", folder_of("ViT", named("ViT", size={"longest_edge": 32})), "transformers cannot")
    yield Case(
        "ViT", "three means of one channel", folder_of("ViT", VIT, num_channels=1), "transformers cannot|channel"
    )
    yield Case(
        "ViT", "crop_pct of null", folder_of("ViT", named("ConvNext", size=32, crop_pct=None)), "transformers cannot"
    )
    yield Case("ViT", "resample of null", folder_of("ViT", named("ViT", size=32, resample=None)), "transformers cannot")
    yield Case("ViT", "four channels", folder_of("ViT", VIT, num_channels=4), r"reads 4 channels; serve one")
    yield Case("ViT", "invalid JSON", changed("ViT", VIT, rewritten("{")), "is not valid JSON")
    yield Case("timm", "as published", timm_case, r"is a model of timm, .*; serve")


def without_head_case(folder: Path) -> None:
    without_head(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(VIT))


def timm_case(folder: Path) -> None:
    folder_of("ResNet", VIT)(folder)
    content = {"architecture": "resnet50", "num_classes": 1000, "pretrained_cfg": {"input_size": [3, 224, 224]}}
    (folder / "config.json").write_text(json.dumps(content))


CASES = list(_cases())


# --- both answers ----------------------------------------------------------------------------------


def outcome(case: Case, folder: Path, images: dict[str, bytes] | None = None) -> str:
    """The path that serves the case, after its scores were held to transformers'; or the sentence that refuses it."""
    case.build(folder)
    entry = Entry(name="model", task="image-classification", source=str(folder))
    try:
        served = Model(Checkpoint(entry, folder), choose("cpu"))
        scores(served, [served.inputs.sample])  # type: ignore[attr-defined]
    except StartError as error:
        return error.message
    except ValueError as error:  # as the warm-up says it
        return f"The model cannot run: {error}"
    hold(served, folder, images or FEW)
    return "fallback" if isinstance(served.network, AutoImageClassifier) else "packed"


def scores(served: Model, data: list[Any]) -> list[dict[str, float]]:
    rows = served.launch(data, [ALL] * len(data)).rows()
    return [served.task.predict([row], Payload(each, 1), ALL).scores for row, each in zip(rows, data, strict=True)]


def hold(served: Model, folder: Path, images: dict[str, bytes]) -> None:
    """Compares the scores of all images, which run in one batch, with those of transformers."""
    expected = {name: reference(folder, data) for name, data in images.items()}
    payloads = dict(zip(images, served.inputs.payloads(list(images.values())), strict=True))
    for name, payload in payloads.items():
        if isinstance(payload, InstanceError):
            assert expected[name] is None, f"{name}: {payload.message}"
    read = {name: payload for name, payload in payloads.items() if not isinstance(payload, InstanceError)}
    found = scores(served, [payload.data for payload in read.values()])
    spread = set()
    for name, each in zip(read, found, strict=True):
        wanted = expected[name]
        assert wanted is not None, f"{name}: transformers refuses it"
        difference = max(abs(each[label] - score) for label, score in wanted.items())
        assert difference <= TOLERANCE, f"{name}: {each} instead of {wanted}"
        spread.add(tuple(round(each[label], 2) for label in sorted(each)))
    assert len(spread) > 2, f"all images score alike: {spread}"


_pipelines: dict[Path, Any] = {}


def reference(folder: Path, data: bytes) -> dict[str, float] | None:
    """What transformers' pipeline answers; None if it fails."""
    if folder not in _pipelines:
        _pipelines.clear()
        _pipelines[folder] = transformers.pipeline(
            "image-classification", model=str(folder), device="cpu", dtype=torch.float32
        )
    pipeline = _pipelines[folder]
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    try:
        if getattr(pipeline.model.config, "num_channels", 3) == 1:  # the pipeline makes three of them
            inputs = pipeline.image_processor(images=image.convert("L"), return_tensors="pt")
            with torch.inference_mode():
                answer = pipeline.postprocess(pipeline.model(**inputs), top_k=LABELS)
        else:
            answer = pipeline(image, top_k=LABELS)
    except (ValueError, RuntimeError, ZeroDivisionError):
        return None
    return {each["label"]: each["score"] for each in answer}
