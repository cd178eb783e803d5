# SPDX-License-Identifier: Apache-2.0
"""Damaged files for each reader alone: they raise the errors that they promise, and no others.

    python tests/fuzz/readers.py --cases 20000

Readers are that of protobuf messages, whose weights must be those that onnx reads where both accept a file; that of
neurons in a converted network (`inspect`); those of configurations, calibration caches and archives of data. Bytes are
changed as by tests/fuzz/converter.py. Every case has a seed, and `--first SEED --cases 1` runs it again. Exits with 1
where another error was raised, or weights differ.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError

sys.path.insert(0, str(Path(__file__).parents[1]))

import networks

import onnx_snn
from fuzz.converter import damaged
from onnx_snn.calibration.cache import CacheKey, load_cache, save_cache
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.data.npz import read_npz
from onnx_snn.graph.protobuf_weights import read_model

KEY = CacheKey("model", "data")


class Reader(NamedTuple):
    """A reader under test.

    Attributes:
        content: a good file.
        read: reads a file.
        promised: the errors that it may raise.
    """

    content: bytes
    read: Callable[[Path], Any]
    promised: tuple[type[Exception], ...]


def read_weights(path: Path) -> None:
    """Read a message in both ways.

    Raises:
        AssertionError: a weight has other bytes than in the message that onnx reads.
    """
    _, spans = read_model(path)
    content = path.read_bytes()
    whole = onnx.ModelProto.FromString(content)
    for name, span in spans.items():
        found = content[span.offset : span.offset + span.length]
        assert found in [tensor.raw_data for tensor in whole.graph.initializer if tensor.name == name], name


def readers(folder: Path) -> dict[str, Reader]:
    """All readers, by name; their good files are made in `folder`."""
    source, converted, cache, data = (folder / name for name in ("m.onnx", "snn.onnx", "c.npz", "d.npz"))
    onnx.save(networks.classifier(), source)
    x = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    onnx_snn.convert(source, converted, {"x": x}, timesteps=2, fast=True, progress=False)
    save_cache(Calibration(), cache, KEY)
    np.savez(data, x=x)
    config = json.dumps(onnx_snn.ConvertConfig().to_json()).encode()
    ours = (onnx_snn.OnnxSnnError,)
    return {
        "protobuf": Reader(source.read_bytes(), read_weights, (DecodeError, OSError, ValueError)),
        "neurons": Reader(converted.read_bytes(), lambda path: onnx_snn.inspect(path).text(), ours),
        "configuration": Reader(config, onnx_snn.ConvertConfig.from_json, ours),
        "cache": Reader(cache.read_bytes(), lambda path: load_cache(path, KEY), ours),
        "archive": Reader(data.read_bytes(), read_npz, ours),
    }


def outcome(reader: Reader, seed: int, path: Path) -> str:
    """Whether a damaged file is `read` or `refused`, or a foreign error with its place."""
    path.write_bytes(damaged(reader.content, np.random.default_rng(seed)))
    try:
        reader.read(path)
    except reader.promised:
        return "refused"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"FOREIGN: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
    return "read"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases of every reader and print how many ended how."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500, help="cases for each reader")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    foreign = False
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "damaged"
        for name, reader in readers(Path(scratch)).items():
            counts: Counter[str] = Counter()
            for seed in range(options.first, options.first + options.cases):
                found = outcome(reader, seed, path)
                if found.startswith("FOREIGN") and found not in counts:
                    print(f"{name}, seed {seed}: {found}", flush=True)
                counts[found] += 1
            foreign |= any(what.startswith("FOREIGN") for what in counts)
            print(f"{name}: " + ", ".join(f"{count:,} {what}" for what, count in counts.most_common()), flush=True)
    return int(foreign)


if __name__ == "__main__":
    sys.exit(main())
