"""Makes 8×8 digits look like uploads: other pens, papers, angles, sizes, colours, noise and JPEG artefacts."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

SIZE = 32


def _uniform(count: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    return torch.rand(count, 1, 1, 1, generator=rng) * (high - low) + low


def _chosen(count: int, share: float, rng: torch.Generator) -> Tensor:
    return (torch.rand(count, 1, 1, 1, generator=rng) < share).float()


def strokes(images: Tensor, rng: torch.Generator) -> Tensor:
    """Enlarges 8×8 ink (0 to 1) to 48×48; draws 60 % of the digits with a crisp pen of random width."""
    count = len(images)
    ink = functional.interpolate(images, size=(48, 48), mode="bicubic", align_corners=False).clamp(0, 1)
    edge, slope = _uniform(count, 0.3, 0.6, rng), _uniform(count, 6, 30, rng)
    crisp = torch.sigmoid((ink - edge) * slope)
    sharpen = _chosen(count, 0.6, rng)
    return ink * (1 - sharpen) + crisp * sharpen


def place(ink: Tensor, rng: torch.Generator) -> Tensor:
    """Rotates by up to 17°, scales, stretches, shears and shifts the digit, on SIZE×SIZE."""
    count = len(ink)
    angle = _uniform(count, -0.3, 0.3, rng).flatten()
    scale = 1 / _uniform(count, 0.4, 1.1, rng).flatten()
    stretch = _uniform(count, -0.25, 0.25, rng).flatten().exp()
    shear = _uniform(count, -0.2, 0.2, rng).flatten()
    cos, sin = torch.cos(angle), torch.sin(angle)
    room = (scale - 1).clamp(min=0.08) * 0.8
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = cos * scale * stretch, (-sin + shear) * scale
    theta[:, 1, 0], theta[:, 1, 1] = sin * scale, cos * scale / stretch
    theta[:, :, 2] = (torch.rand(count, 2, generator=rng) * 2 - 1) * room[:, None]
    grid = functional.affine_grid(theta, [count, 1, SIZE, SIZE], align_corners=False)
    return functional.grid_sample(ink, grid, align_corners=False).clamp(0, 1)


def colour(ink: Tensor, rng: torch.Generator) -> Tensor:
    """Draws ink on paper as RGB (0 to 1): either may be lighter, half are grey, and the paper is lit unevenly."""
    count = len(ink)
    pens, papers = torch.rand(2, count, 3, 1, 1, generator=rng)
    grey = _chosen(count, 0.5, rng)
    pens = pens * (1 - grey) + pens.mean(1, keepdim=True) * grey
    papers = papers * (1 - grey) + papers.mean(1, keepdim=True) * grey
    dark_pen = _chosen(count, 0.5, rng)
    contrast = _uniform(count, 0.25, 1, rng)
    low = (1 - contrast) * 0.6 * _uniform(count, 0, 1, rng)
    high = (low + contrast).clamp(max=1)
    dark, light = low + pens * 0.25 * contrast, high - papers * 0.25 * contrast
    pen = dark * dark_pen + light * (1 - dark_pen)
    paper = light * dark_pen + dark * (1 - dark_pen)
    slope = torch.linspace(-1, 1, SIZE).view(1, 1, 1, SIZE)
    shade = slope * _uniform(count, -0.1, 0.1, rng) + slope.transpose(2, 3) * _uniform(count, -0.1, 0.1, rng)
    drawn: Tensor = (paper + shade) * (1 - ink) + pen * ink
    return drawn


def wear(images: Tensor, rng: torch.Generator) -> Tensor:
    """Blurs a third of the images and adds noise to half."""
    count = len(images)
    kernel = torch.tensor([1.0, 2.0, 1.0])
    kernel = (kernel[:, None] * kernel[None]).div(16).expand(3, 1, 3, 3)
    blurred = functional.conv2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    blur = _chosen(count, 0.35, rng)
    images = images * (1 - blur) + blurred * blur
    noise = torch.randn(images.shape, generator=rng) * _uniform(count, 0, 0.08, rng)
    return (images + noise * _chosen(count, 0.5, rng)).clamp(0, 1)


def compress(images: Tensor, rng: torch.Generator) -> Tensor:
    """Compresses a third of the images as JPEG with a quality of 15 to 85."""
    result = images.clone()
    for at in torch.nonzero(torch.rand(len(images), generator=rng) < 0.33).flatten().tolist():
        pixels = (images[at].permute(1, 2, 0) * 255).byte().numpy()
        quality = int(torch.randint(15, 86, (1,), generator=rng))
        stored = io.BytesIO()
        Image.fromarray(pixels).save(stored, "JPEG", quality=quality)
        result[at] = torch.from_numpy(np.array(Image.open(stored))).permute(2, 0, 1) / 255
    return result


def uploads(images: Tensor, rng: torch.Generator) -> Tensor:
    """From ink (n, 1, 8, 8) to RGB (n, 3, SIZE, SIZE), both in 0 to 1."""
    return compress(wear(colour(place(strokes(images, rng), rng), rng), rng), rng)
