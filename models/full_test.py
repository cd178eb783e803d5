"""Build the arrays of the whole CIFAR-10 test split (10,000 images) for an evaluation on all of it.

    python models/full_test.py --data cifar10-jpg.tar --output cifar10-test.npz

The file holds ``pixel_values`` (float32, as the model of ``vit-cifar10`` takes them) and ``labels`` (int64).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cifar10 import decode_tar, normalize


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
