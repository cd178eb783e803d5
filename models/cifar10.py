"""CIFAR-10 as the recipes of this folder take it: a tar of JPEG files named ``train|test/<class>/NNNN.jpg``."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

SIDE = 32
SEED = 20
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Pixels = TypeVar("Pixels")


def decode_tar(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (uint8, [samples, 3, 32, 32]) and labels of ``split``, in the order of their names."""
    from PIL import Image

    found: list[tuple[str, int, np.ndarray]] = []
    with tarfile.open(path) as archive:
        for member in archive:
            parts = member.name.split("/")
            stream = archive.extractfile(member) if member.name.endswith(".jpg") else None
            if stream is None or parts[-3:-2] != [split]:
                continue
            image = np.asarray(Image.open(io.BytesIO(stream.read())).convert("RGB"))
            found.append((member.name, CLASSES.index(parts[-2]), image.transpose(2, 0, 1)))
    if not found:
        raise ValueError(f"{path}: no images of split {split!r}")
    found.sort(key=lambda item: item[0])
    return np.stack([item[2] for item in found]), np.array([item[1] for item in found], dtype=np.int64)


def normalize(images: Pixels) -> Pixels:
    """Network input of uint8 images (arrays or tensors): u / 128 - 1, exact in float32."""
    if isinstance(images, np.ndarray):
        return images.astype(np.float32) / np.float32(128) - np.float32(1)  # type: ignore[return-value]
    return images.float() / 128 - 1  # type: ignore[attr-defined, no-any-return]


def class_balanced(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices of ``count`` samples, as many of each class as possible, in random order."""
    generator = np.random.default_rng(seed)
    by_class = [generator.permutation(np.flatnonzero(labels == value)) for value in np.unique(labels)]
    interleaved = [index for group in zip(*by_class, strict=False) for index in group][:count]
    return generator.permutation(np.array(interleaved))


def load_split(data: Path, split: str, cache: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Decoded images (uint8) and labels of one split, shuffled with a fixed seed, kept in ``cache``."""
    import torch

    path = cache / f"{split}.npz"
    if not path.exists():
        images, labels = decode_tar(data, split)
        np.savez(path, images=images, labels=labels)
    with np.load(path) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    order = np.random.default_rng(SEED).permutation(len(images))
    return torch.from_numpy(images[order]), torch.from_numpy(labels[order])


def augment(padded: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Random 32 x 32 crops of padded uint8 images, half of them mirrored, as network input."""
    import torch

    windows = padded.unfold(2, SIDE, 1).unfold(3, SIDE, 1)
    offsets = torch.randint(0, windows.size(2), (2, len(chosen)))
    crops = windows[chosen, :, offsets[0], offsets[1]]
    mirrored = torch.rand(len(chosen), 1, 1, 1) < 0.5
    return normalize(torch.where(mirrored, crops.flip(-1), crops))
