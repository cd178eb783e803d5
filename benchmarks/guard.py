# SPDX-License-Identifier: Apache-2.0
"""What a range guard costs and what it sees; writes docs/measurements/guard.md.

    python benchmarks/guard.py                     # ViT and RoBERTa of models/, and a perceptron, T=8
    python benchmarks/guard.py --only mlp --rounds 5

Each network is converted once into `--folder`, where the files stay, and gets its guard by what `convert --guard` does.
A guarded run takes turns with a plain one within one process, one thread each, and a ratio is the median over the
rounds, of processor time, which other load on the machine disturbs little. Then calibration data times 1, 2, 10 and 100
runs through the original and the spiking network.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from measurement import describe_machine, instruction_set, machine_in_words, on_passive_threads, ratio, taking_turns

import onnx_snn
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import session_specs
from onnx_snn.evaluation.range_guard import add_guard
from onnx_snn.formatting import share, table
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model

TRAINED = ("vit-cifar10", "roberta-mr")
PERCEPTRON = "mlp"
SIZES = (256, 1024, 1024, 64)
SAMPLES = 64
FACTORS = (1, 2, 10, 100)
COST_HEADER = ("network", "nodes", "batch", "run by", "plain, ms", "guarded / plain", "quartiles", "of fastest runs")
SEEN_HEADER = ("network", "data", "relative error", "saturated", "nodes", "worst node", "of its elements")


def perceptron(folder: Path) -> tuple[Path, Path]:
    """A perceptron with GELU of random weights, and normal data for it."""
    generator, nodes, weights, value = np.random.default_rng(0), [], [], "x"
    for layer, (rows, columns) in enumerate(itertools.pairwise(SIZES)):
        array = (generator.normal(size=(rows, columns)) / rows**0.5).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(array, f"weight{layer}"))
        last = layer == len(SIZES) - 2
        product = "y" if last else f"product{layer}"
        nodes.append(onnx.helper.make_node("MatMul", [value, f"weight{layer}"], [product], name=f"product{layer}"))
        if not last:
            value = f"gelu{layer}"
            nodes.append(onnx.helper.make_node("Gelu", [product], [value], name=value))
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["samples", size])
        for name, size in (("x", SIZES[0]), ("y", SIZES[-1]))
    ]
    graph = onnx.helper.make_graph(nodes, PERCEPTRON, ends[:1], ends[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    file, data = folder / f"{PERCEPTRON}-original.onnx", folder / f"{PERCEPTRON}.npz"
    onnx.save(model, file)
    np.savez(data, allow_pickle=False, x=generator.normal(size=(SAMPLES, SIZES[0])).astype(np.float32))
    return file, data


def converted(original: Path, data: Path, folder: Path, name: str) -> tuple[Path, Path, int]:
    """The spiking network without and with a guard, written where they are missing, and the number of guarded nodes."""
    plain, guarded = (folder / f"{name}-{kind}.onnx" for kind in ("plain", "guarded"))
    if not plain.exists():
        onnx_snn.convert(original, plain, data)
    model = load_model(plain)
    guard = add_guard(model)
    save_model(model, guarded)
    return plain, guarded, len(guard.nodes)


def costs(
    files: tuple[Path, Path], feeds: Callable[[int], dict[str, Any]], options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Times of guarded runs over those of plain ones."""
    for kernels in (True, False):
        plain, guarded = (
            onnx_snn.session(
                file,
                session_options=on_passive_threads(onnx_snn.session_options(quiet=True, kernels=kernels), 1),
                kernels=kernels,
            )
            for file in files
        )
        for batch in options.batches:
            feed = feeds(batch)
            runs = {"plain": lambda: plain.run(None, feed), "guarded": lambda: guarded.run(None, feed)}  # noqa: B023
            rounds = options.rounds if kernels else max(5, options.rounds // 10)
            seconds = taking_turns(runs, rounds, time.process_time)
            yield {
                "batch": batch,
                "kernels": kernels,
                "plain_ms": statistics.median(seconds["plain"]) * 1e3,
                **ratio(seconds, "guarded", "plain")._asdict(),
            }


def seen(original: Path, spiking: Path, feed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Errors and saturated elements at multiples of the data; integers and masks stay what they are."""
    for factor in FACTORS if any(array.dtype == np.float32 for array in feed.values()) else FACTORS[:1]:
        scaled = {k: v * np.float32(factor) if v.dtype == np.float32 else v for k, v in feed.items()}
        found = onnx_snn.compare(original, spiking, scaled, progress=False)
        worst = max(found.saturation, key=lambda node: node.share)
        yield {
            "factor": factor,
            "relative_error": found.relative_error,
            "saturated": sum(node.saturated for node in found.saturation),
            "elements": sum(node.elements for node in found.saturation),
            "nodes": sum(node.saturated > 0 for node in found.saturation),
            "worst": worst.node if worst.saturated else "",
            "worst_share": worst.share,
        }


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one network."""
    source = options.models / name
    trained = name != PERCEPTRON
    original, data = (source / "model.onnx", source / "calibration.npz") if trained else perceptron(options.folder)
    plain, guarded, nodes = converted(original, data, options.folder, name)
    specs = session_specs(onnx_snn.session(original))

    def feeds(batch: int) -> dict[str, Any]:
        return dict(next(iter(open_feeds(data, specs, batch_size=batch))))

    return {
        "network": name,
        "nodes": nodes,
        "costs": list(costs((plain, guarded), feeds, options)),
        "seen": list(seen(original, guarded, feeds(SAMPLES))),
    }


def _cost_cells(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for cost in row["costs"]:
        lower, upper = cost["quartiles"]
        by = "kernels" if cost["kernels"] else "functions"
        ratios = f"{cost['median']:.3f}", f"{lower:.3f} - {upper:.3f}", f"{cost['fastest']:.3f}"
        yield row["network"], str(row["nodes"]), str(cost["batch"]), by, f"{cost['plain_ms']:.1f}", *ratios


def _seen_cells(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for found in row["seen"]:
        counts = share(found["saturated"], found["elements"]), str(found["nodes"]), found["worst"]
        of_worst = f"{found['worst_share']:.2%}" if found["worst"] else ""
        yield row["network"], f"x{found['factor']}", f"{found['relative_error']:.3f}", *counts, of_worst


def page(machine: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """The text of the page."""
    cost, found = ([cells for row in rows for cells in of(row)] for of in (_cost_cells, _seen_cells))
    return (
        "# What a range guard costs, and what it sees\n\n"
        "Written by `python benchmarks/guard.py`; do not edit. Spiking networks at T=8, scope full: time of a run of\n"
        "the file that `--guard` makes, counts given out, over that of the plain one: medians over the rounds.\n\n"
        f"Machine: {machine_in_words(machine)}.\n"
        f"Kernels: {instruction_set(machine)}. One thread; times are of the processor.\n\n"
        f"```text\n{table(COST_HEADER, cost)}\n```\n\n"
        "Relative error of the output on calibration data times a factor, and the share of the elements at guarded\n"
        "nodes that are beyond the ranges of their neurons, with the number of nodes that have any. Networks of\n"
        "integer inputs have no multiples.\n\n"
        f"```text\n{table(SEEN_HEADER, found)}\n```\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the page."""
    warnings.simplefilter("ignore", onnx_snn.SaturationWarning)
    options = _parser().parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    machine, rows = describe_machine(), []
    for name in options.only:
        rows.append(measured(name, options))
        for cells in (*_cost_cells(rows[-1]), *_seen_cells(rows[-1])):
            print("  ".join(cells), flush=True)
    options.output.write_text(page(machine, rows))
    options.output.with_suffix(".json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    networks = (*TRAINED, PERCEPTRON)
    parser.add_argument("--only", nargs="+", choices=networks, default=networks, metavar="NETWORK")
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8), metavar="BATCH")
    parser.add_argument("--rounds", type=int, default=201, help="rounds a row; a tenth without kernels")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--folder", type=Path, default=Path("build/guard"), help="where converted networks stay")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/guard.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
