# SPDX-License-Identifier: Apache-2.0
"""Mutated nodes in sessions of onnxruntime, whose kernels are instrumented by AddressSanitizer and
UndefinedBehaviorSanitizer: onnxruntime may refuse a model or an input, and the process may not end.

    python tests/fuzz/graphs.py build/kernels-address,undefined --cases 5000

The folder is that of a build with `-D ONNX_SNN_SANITIZE=address,undefined`. Models of one node, of every operator, are
changed: shapes, types, values and presence of its inputs, its attributes, its outputs, or bytes of the file. Every
tensor is a block of memory of its own; a control, which writes beyond its output, has to be found. A process runs the
cases in order; where it ends early, the seed of the case is printed with the report, and `--first SEED --cases 1` runs
it again. Exits with 1 then.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import AttributeProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1]))

from portable import model_of, with_constants
from strategies import SPECIAL

from fuzz import race
from fuzz.converter import damaged
from fuzz.nodes import Node, random_node
from fuzz.sanitized import LIBRARY, run, runtime_of
from onnx_snn.errors import NeuronError
from onnx_snn.neurons.opset import Body

MOST_ELEMENTS = 1 << 16
"""Elements of a tensor: a mutation must not ask for memory that nobody has."""

AT_ONCE = 1000
"""Cases of one process."""

Mutation = Callable[[np.random.Generator, onnx.ModelProto, dict[str, np.ndarray[Any, Any]]], None]


def change_shape(random: np.random.Generator, _: onnx.ModelProto, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """Another shape of an input, of up to 20 axes, empty ones among them."""
    name = str(random.choice(list(tensors)))
    axes = int(random.choice([0, 1, 2, 3, 4, 15, 16, 17, 20]))
    shape = random.choice([0, 1, 1, 1, 2, 3, 7], axes) if axes < 15 else random.choice([1] * 9 + [2], axes)
    if np.prod(shape, dtype=np.float64) <= MOST_ELEMENTS:
        tensors[name] = np.resize(tensors[name], tuple(shape)) if tensors[name].size else np.ones(shape, np.float32)


def change_size(random: np.random.Generator, _: onnx.ModelProto, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """One axis of an input is longer or shorter, or moves."""
    name = str(random.choice(list(tensors)))
    array = tensors[name]
    if array.ndim == 0:
        return
    shape, axis = list(array.shape), int(random.integers(array.ndim))
    shape[axis] = max(0, int(shape[axis] + random.choice([-1, 1, 7, 64, 4096])))
    if array.size and np.prod(shape, dtype=np.float64) <= MOST_ELEMENTS:
        tensors[name] = np.resize(array, shape)


def change_values(random: np.random.Generator, _: onnx.ModelProto, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """Special values, or any bits."""
    name = str(random.choice(list(tensors)))
    array = np.array(tensors[name], np.float32)
    where = random.random(array.shape) < random.choice([0.05, 1.0])
    bits = random.integers(0, 1 << 32, array.shape, np.uint32).view(np.float32)
    tensors[name] = np.where(where, random.choice(SPECIAL, array.shape) if random.random() < 0.7 else bits, array)


def change_type(random: np.random.Generator, _: onnx.ModelProto, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """Another element type of an input."""
    name = str(random.choice(list(tensors)))
    with np.errstate(all="ignore"):
        tensors[name] = tensors[name].astype(random.choice([np.float64, np.float16, np.int64, np.uint8, np.bool_]))


def change_inputs(random: np.random.Generator, model: onnx.ModelProto, _: dict[str, np.ndarray[Any, Any]]) -> None:
    """An input of the node is another one, is left out, or is one more."""
    names = model.graph.node[0].input
    kind, place = int(random.integers(4)), int(random.integers(len(names)))
    if kind == 0:
        names[place] = ""
    elif kind == 1:
        names[place] = names[int(random.integers(len(names)))]
    elif kind == 2:
        del names[place]
    else:
        names.append(names[place])


def change_attributes(random: np.random.Generator, model: onnx.ModelProto, _: dict[str, np.ndarray[Any, Any]]) -> None:
    """Attributes that are missing, of other values and types, or unknown."""
    node = model.graph.node[0]
    if random.random() < 0.3:
        del node.attribute[:]
        return
    values: list[Any] = [-1, 2, 2**63 - 1, -(2**63), 0.5, "odd", [0, 1], b"", numpy_helper.from_array(np.ones(3))]
    name = "polarity" if random.random() < 0.8 else "other"
    kept: list[AttributeProto] = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, values[int(random.integers(len(values)))])])


def change_outputs(random: np.random.Generator, model: onnx.ModelProto, _: dict[str, np.ndarray[Any, Any]]) -> None:
    """Outputs that are left out, one more, or of another type."""
    node, outputs = model.graph.node[0], model.graph.output
    place = int(random.integers(len(node.output)))
    kind = int(random.integers(3))
    if kind == 0:
        kept = [value for value in outputs if value.name != node.output[place]]
        node.output[place] = ""
        del outputs[:]
        outputs.extend(kept)
    elif kind == 1:
        node.output.append("another")
    else:
        outputs[int(random.integers(len(outputs)))].type.tensor_type.elem_type = int(random.integers(1, 17))


MUTATIONS: tuple[Mutation, ...] = (
    *(change_shape, change_shape, change_size, change_size),
    *(change_values, change_values, change_values, change_values),
    *(change_type, change_inputs, change_attributes, change_outputs),
)

CONSTANT = 0.5
"""Share of the cases in which parameters are constants of the model, which are read when the session is created."""

DAMAGED = 0.05
"""Share of the cases in which bytes of the model are changed as well."""


def random_model(random: np.random.Generator) -> tuple[bytes, dict[str, np.ndarray[Any, Any]]]:
    """The bytes of a mutated model and what it is given."""
    node = _valid(random)
    model = model_of(node.operator, body=Body.LOOP, metered=random.random() < 0.7, polarity=node.polarity)
    del model.functions[:]
    tensors = dict(node.feeds)
    for _ in range(int(random.choice([1, 1, 2]))):
        MUTATIONS[int(random.integers(len(MUTATIONS)))](random, model, tensors)
    if random.random() < CONSTANT:
        model = with_constants(model, {name: array for name, array in tensors.items() if name != "x"})
        tensors = {"x": tensors["x"]}
    for value in model.graph.input:
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(tensors[value.name].dtype)
    content = model.SerializeToString()
    return damaged(content, random) if random.random() < DAMAGED else content, tensors


def _valid(random: np.random.Generator) -> Node:
    try:
        return random_node(random)
    except NeuronError:
        return _valid(random)


def outcome(library: str, seed: int) -> str:
    """Whether onnxruntime runs the model of `seed`, or refuses it."""
    content, feeds = random_model(np.random.default_rng(seed))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1 + seed % 2, 4
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.register_custom_ops_library(library)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime's exceptions share no base class of their own
        return "refused"
    try:
        session.run(None, {value.name: feeds[value.name] for value in session.get_inputs() if value.name in feeds})
    except Exception:
        return "refused when run"
    return "run"


def _cases(library: str, seeds: range, journal: Path) -> int:
    """Run the cases; `journal` says which one runs."""
    counts: Counter[str] = Counter()
    with journal.open("w") as file:
        for seed in seeds:
            file.seek(0)
            file.write(f"{seed:12}")
            file.flush()
            counts[outcome(library, seed)] += 1
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases in processes of their own, each up to the first fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="folder of a build with AddressSanitizer")
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--here", type=Path, metavar="JOURNAL", help="run in this process, with the library BUILD")
    options = parser.parse_args(arguments)
    if options.here:
        return _cases(str(options.build), range(options.first, options.first + options.cases), options.here)
    library = (options.build / LIBRARY).resolve()
    if not runtime_of(library):
        print("skipped: the runtime of the sanitizer is no shared library here, which Python could load")
        return 0
    first, last, faults = options.first, options.first + options.cases, 0
    with tempfile.TemporaryDirectory() as scratch:
        control = library.parent / "tests" / "libcontrol_ops.so"
        found = run(control, [race.__file__, "--run", "Beyond", str(control)], Path(scratch)).reports
        if "heap-buffer-overflow" not in found:
            print("the control, which writes beyond its output, was not found")
            return 1
        print("control: found", flush=True)
        journal = Path(scratch) / "journal"
        while first < last:
            cases = min(AT_ONCE, last - first)
            program = [__file__, "--here", str(journal), "--cases", str(cases), "--first", str(first)]
            ended = run(library, [*program, str(library)], Path(scratch))
            print(ended.output.strip()[-2000:], flush=True)
            if ended.status == 0:
                first += cases
                continue
            seed = int(journal.read_text())
            print(f"seed {seed} ended the process with {ended.status}\n{ended.reports[-4000:]}", flush=True)
            first, faults = seed + 1, faults + 1
    print(f"{options.cases} cases, {faults} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
