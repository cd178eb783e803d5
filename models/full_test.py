"""Build the arrays of the whole CIFAR-10 test split (10,000 images) for an evaluation on all of it.

    python models/full_test.py --data cifar10-jpg.tar --output cifar10-test.npz

The file holds ``pixel_values`` (float32, as the model of ``vit-cifar10`` takes them) and ``labels`` (int64).
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path
from typing import TypeVar

import numpy as np

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


def full_test_arrays(path: Path) -> dict[str, np.ndarray]:
    """``pixel_values`` and ``labels`` of the whole test split."""
    images, labels = decode_tar(path, "test")
    return {"pixel_values": normalize(images), "labels": labels}


def main() -> None:
    """Command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--data", type=Path, required=True, help="tar of the JPEG files")
    parser.add_argument("--output", type=Path, required=True, help=".npz file to write")
    args = parser.parse_args()
    arrays = full_test_arrays(args.data)
    np.savez(args.output, allow_pickle=False, **arrays)
    print(f"{args.output}: {len(arrays['labels'])} samples")


if __name__ == "__main__":
    main()
