# SPDX-License-Identifier: Apache-2.0
"""A small decoder of random weights as the model builder of onnxruntime-genai writes it, for benchmarks/generate.py.

    python benchmarks/genai_decoder.py --precision int4 --output build/llama-int4

Needs PyTorch, onnxruntime-genai and the release of Transformers that its builder asks for (5 for 0.18), which may be an
environment of their own. The tokenizer is that of models/gpt2-war-and-peace.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

TOKENIZER = Path(__file__).parents[1] / "models" / "gpt2-war-and-peace"
CONFIG = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 384,
    "vocab_size": 2048,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
    # Texts of weights that are drawn this wide differ from one another, and do not repeat one token.
    "initializer_range": 0.1,
    "tie_word_embeddings": False,
}
"""A Llama whose attention has grouped queries."""


def write_checkpoint(folder: Path) -> None:
    """A network of seeded weights with its tokenizer, as Transformers saves them."""
    sys.path.remove(str(Path(__file__).parent))  # it has modules that are called as packages of Transformers
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**CONFIG)).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the decoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "int4"], default="fp32")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "checkpoint")
        write_checkpoint(checkpoint)
        files = ["-i", checkpoint, "-o", options.output, "-c", Path(folder, "cache")]
        builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-p", options.precision, "-e", "cpu"]
        return subprocess.run([*builder, *map(str, files)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
