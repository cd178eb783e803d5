# SPDX-License-Identifier: Apache-2.0
"""Conversion of one model or of an Optimum folder, stage by stage.

1. load        the original, checked
2. expand      functions and fused operators, written out in standard operators
3. recognise   the sites where spiking ops can stand
4. select      what the user wants converted; what holds none of it goes back to one piece
5. calibrate   ranges and histograms of their tensors, on real data
6. fit         the neurons of every site
7. rewrite     the graph, and attach the functions that define the new ops
8. verify      invariants, and the error against the original; where lean neurons lose too much, back to 2 and on
               to more exact ones
9. save        in one step, so that nothing half-written is left behind
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from onnx_snn.calibration.branches import Course, courses, running, untaken
from onnx_snn.calibration.observations import StaticAxes, observations, observed_model
from onnx_snn.calibration.statistics import Calibration, calibrate, load_cache, static_axes
from onnx_snn.config.convert_config import LEAN, ConvertConfig
from onnx_snn.conversion.coverage import Ledger
from onnx_snn.conversion.decoder_feeds import DecoderFeeds
from onnx_snn.conversion.fit_sites import Fitter, fit_sites
from onnx_snn.conversion.folder import data_by_file
from onnx_snn.conversion.function_library import attach, fast_twin
from onnx_snn.conversion.plan import SitePlan
from onnx_snn.conversion.report import ConversionReport, merged
from onnx_snn.conversion.rewriter import rewrite
from onnx_snn.conversion.selection import resolve, select
from onnx_snn.conversion.verification import check_invariants, check_valid, measure
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.errors import CalibrationError, ConfigError, ModelError, OutputError
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.graph.model_folder import copy_sidecars, model_files
from onnx_snn.graph.model_reader import ModelSource, load_model
from onnx_snn.graph.model_writer import check_output, save_model
from onnx_snn.graph.unique_names import make_names_unique
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.output_files import write_json
from onnx_snn.rules import recognise
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import Kind

logger = logging.getLogger(__name__)

VERIFY_SAMPLES = 16
"""Calibration samples on which the error is measured, one at a time: enough for its magnitude, and small in memory,
where the functions inside the file hold N numbers for each element."""

VERIFY_WEIGHTS = 1 << 27
"""Weights over all those samples: of a large network, whose many elements tell as much, fewer samples are measured."""

LEAN_ERROR, LEAN_SAMPLE_ERROR = 4e-3, 1e-2
"""Relative error of an output up to which neurons may be lean, over all verified samples and on any one of them."""

MOST_HALVINGS = 2
"""Of the error of lean neurons; a quarter of it takes about as many spikes as neurons that are not lean."""

CACHES = ("past_", "present")
"""How the names of inputs and outputs begin that hold the keys and values of earlier tokens."""

SNN_CONFIG = "snn_config.json"
"""File in a converted folder that records the options, as Optimum's `ort_config.json` does."""


def convert(
    model: ModelSource,
    output: str | Path | None = None,
    calibration: Source | None = None,
    *,
    config: ConvertConfig | None = None,
    calibration_cache: str | Path | None = None,
    calibration_samples: int | None = None,
    batch_size: int = 8,
    dry_run: bool = False,
    progress: bool = True,
    **options: Any,
) -> ConversionReport:
    """Convert a pretrained network into a spiking one.

    Args:
        model: path of an .onnx file or an Optimum folder, `ModelProto` or `onnx_ir.Model`; left as it is.
        output: .onnx file to write (a folder where `model` is one); its folder must exist.
        calibration: real inputs: a `CalibrationDataReader`, an iterable of feeds (dicts from input name to
            array), a dict of arrays or an .npz file with one array per model input (first axis: samples).
            For a folder of several models, a dict from file name to such a source, or a folder with NAME.npz
            for each NAME.onnx; decoders may be left out where the encoder has data.
        config: options; alternatively give the fields of `ConvertConfig` as keywords, such as `timesteps=4`.
        calibration_cache: .npz file that keeps what calibration saw; read when it exists, else written.
        calibration_samples: use at most this many samples; all by default.
        batch_size: samples in one run during calibration.
        dry_run: stop after selection and report what would be converted: needs no data and writes nothing.
        progress: show progress bars on a terminal.
        **options: fields of `ConvertConfig`, when `config` is not given.

    Returns:
        What was converted, what was not and why, and the error on calibration samples.

    Raises:
        ConfigError: an option is invalid, or a name matches no node.
        ModelError: the model cannot be read, or nothing in it can be converted; with `strict`, not all of it.
        CalibrationError: the data does not fit the model, is empty or is not finite.
        OutputError: the output cannot be written.
        LibraryError: onnxruntime cannot load the library with the kernels.
    """
    if not isinstance(model, (str, os.PathLike, onnx.ModelProto, ir.Model)):
        raise ModelError(f"model is a {type(model).__name__}; expected a path, a ModelProto or an onnx_ir.Model")
    config = _config(config, options)
    run = Run(config, calibration_cache, calibration_samples, batch_size, dry_run, progress)
    if isinstance(model, (str, os.PathLike)) and Path(model).is_dir():
        return run.folder(Path(model), output, calibration)
    return run.model(model, output, calibration)


@dataclass
class Run:
    """One call of `convert`: its options, and the stages in their order."""

    config: ConvertConfig
    cache: str | Path | None
    samples: int | None
    batch_size: int
    dry_run: bool
    progress: bool

    def model(self, source: ModelSource, output: str | Path | None, data: Source | None) -> ConversionReport:
        """Convert one model."""
        watch = Stopwatch()
        if not self.dry_run:
            check_destination(output, source)
        original, model, ledger = self.examine(source, watch)
        config = _for_network(self.config, original)
        if self.dry_run:
            ledger.plans = [SitePlan(site) for site in ledger.wanted]
            return ledger.report(None, config, watch.seconds)
        feeds = self.feeds(model, ledger, data)
        with watch("calibrate"):
            static, seen, runs = self.calibrate(model, ledger, feeds)
        verified = list(_first_samples(feeds, list(runs.values()), _verified_samples(original)))
        fitter, halvings = Fitter(seen, static, config), 0 if config.spares else None
        while True:
            with watch("fit"):
                allowances = None if halvings is None else LEAN.halved(halvings)
                settings = resolve(ledger.recognition.sites, config)
                ledger.plans, refused = fit_sites(ledger.wanted, fitter.within(allowances, settings))
                ledger.refused |= refused
                ledger.check_any()
                if config.strict:
                    ledger.check_complete()
            apart = model.clone()
            with watch("rewrite"):
                attach(model, ledger.plans, rewrite(model, ledger.plans), config)
            with watch("verify"):
                check_invariants(original, model)
                check_valid(model)
                taps = [ledger.outputs[plan.site] for plan in ledger.plans]
                reference = original if ledger.expanded else apart
                comparison = measure(reference, fast_twin(model, ledger.plans), verified, taps, apart=apart)
            excess = max(comparison.worst_error / LEAN_ERROR, comparison.worst_sample / LEAN_SAMPLE_ERROR)
            if halvings is None or excess <= 1.0:
                break
            halvings = _more_halvings(halvings, excess)
            model, ledger = self._recognised(original, ledger.source, watch)
            ledger.refused |= untaken(ledger.wanted, runs, model)
        with watch("save"):
            save_model(model, str(output))
        return ledger.report(str(output), config, watch.seconds, comparison, seen.samples)

    def examine(self, source: ModelSource, watch: Stopwatch) -> tuple[ir.Model, ir.Model, Ledger]:
        """The original, a copy of it with its fused operators written out, and which of its sites are wanted."""
        name = str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__
        with watch("load"):
            original = load_model(source)
            _check_original(original, name)
            make_names_unique(original)
        return original, *self._recognised(original, name, watch)

    def feeds(self, model: ir.Model, ledger: Ledger, data: Source | None) -> Feeds:
        """The calibration data of a model that can be run."""
        _check_runnable(model, ledger.source)
        if data is None:
            raise CalibrationError("calibration data is missing; give real inputs of the network, as an .npz say")
        # What is decoded from few samples is more than that many feeds.
        samples = None if isinstance(data, DecoderFeeds) else self.samples
        return open_feeds(data, input_specs(model), batch_size=self.batch_size, max_samples=samples)

    def _recognised(self, original: ir.Model, name: str, watch: Stopwatch) -> tuple[ir.Model, Ledger]:
        """A copy of `original` with its fused operators written out, its sites, and which of them are wanted."""
        with watch("expand"):
            model = original.clone()
            decomposed = decompose(model)
        with watch("recognise"):
            ledger = Ledger(name, recognise(model), decomposed.stay)
            ledger.kept = select(ledger.recognition.sites, self.config)
            ledger.refuse_bodies(model)
            idle = decomposed.origins - ledger.wanted_origins()
            if idle:
                model = original.clone()
                stay = decompose(model, held=idle).stay
                ledger = ledger.with_held(idle, recognise(model), stay)
            ledger.expanded = bool(decomposed.origins)
            ledger.check_any()
            resolve(ledger.recognition.sites, self.config)  # settings of nodes that are not there are an error at once
        return model, ledger

    def calibrate(
        self, model: ir.Model, ledger: Ledger, feeds: Feeds
    ) -> tuple[StaticAxes, Calibration, Mapping[Course, Feed]]:
        """Which axes of the products' operands have a fixed size, what tensors hold, and a run of each course."""
        runs = courses(model, ledger.wanted, feeds)
        ledger.refused |= untaken(ledger.wanted, runs, model)
        ledger.check_any()
        static = StaticAxes(model)
        for course, feed in runs.items():
            shaped = (site for site in running(ledger.wanted, course, model) if site.kind in _NEED_SHAPES)
            operands = {value.name or "" for site in shaped for value in site.inputs} - static.keys()
            static |= static_axes(model, sorted(operands), feed) if operands else {}
        observed, needed = observed_model(model, ledger.wanted, static), observations(ledger.wanted, static)
        if not needed:  # softmax alone: its neurons see mantissas, whatever the data
            return static, Calibration(""), runs
        if self.cache is not None and Path(self.cache).exists():
            return static, load_cache(self.cache, observed, needed), runs
        cached, typical = self.cache is not None, list(runs.values())
        seen = calibrate(observed, needed, feeds, typical=typical, cached=cached, progress=self.progress)
        if self.cache is not None:
            seen.save_cache(self.cache)
        return static, seen, runs

    def folder(self, source: Path, output: str | Path | None, data: Any) -> ConversionReport:
        """Convert every model of an Optimum folder and copy what lies beside them."""
        files = model_files(source)
        if self.dry_run:
            return merged(str(source), None, [self.model(file, None, None) for file in files])
        if output is None:
            raise ConfigError("output is missing; name the folder to write, or ask for a dry run")
        sources = {files[0].name: data} if len(files) == 1 else self._sources(source, files, data)
        with _staged_folder(Path(output), source) as stage:
            reports = [self.model(file, stage / file.name, sources[file.name]) for file in files]
            copy_sidecars(source, stage)
            write_json(stage / SNN_CONFIG, self.config.to_json())
        return merged(str(source), str(output), reports)

    def _sources(self, folder: Path, files: Sequence[Path], data: Any) -> Mapping[str, Source]:
        """`data` as calibration data by file name."""
        names = [file.name for file in files]
        if self.cache is not None:
            raise ConfigError(f"'{folder}' holds several models, {names}; a calibration cache keeps that of one")
        return data_by_file(folder, names, data, batch_size=self.batch_size, max_samples=self.samples)


_NEED_SHAPES = (Kind.PRODUCT, Kind.SYNAPSE)
"""Kinds whose channel axes depend on which axes have a fixed size."""


def _verified_samples(model: ir.Model) -> int:
    tensors = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    return max(1, min(VERIFY_SAMPLES, VERIFY_WEIGHTS // max(1, sum(tensor.size for tensor in tensors))))


def _for_network(config: ConvertConfig, network: ir.Model) -> ConvertConfig:
    """`config` with what it leaves to the network: one that keeps a cache does not get lean neurons unless asked for.

    It generates, and a token that is chosen otherwise changes all that follow.
    """
    names = [value.name or "" for value in (*network.graph.inputs, *network.graph.outputs)]
    if config.lean is None and any(name.startswith(CACHES) for name in names):
        return dataclasses.replace(config, lean=False)
    return config


def _more_halvings(halvings: int, excess: float) -> int | None:
    """How often the error of lean neurons is to be halved, after that of the output exceeded its bound by a factor.

    None where they had better be as exact as they can: output errors are about proportional to those of the neurons,
    and a second guess that fails will not be followed by a third.
    """
    if halvings or excess > 2.0**MOST_HALVINGS:
        return None
    return math.ceil(math.log2(excess))


def _first_samples(feeds: Feeds, typical: Sequence[Feed], count: int) -> Iterator[Feed]:
    """The first `count` samples of `feeds`; of a model with several courses, of the first feed of each."""
    if len(typical) == 1:
        return itertools.islice(feeds.singles(), count)
    share = -(-count // len(typical))
    return itertools.chain.from_iterable(itertools.islice(feeds.split(feed), share) for feed in typical)


def _config(config: ConvertConfig | None, options: dict[str, Any]) -> ConvertConfig:
    """`config`, or the one that the keywords make."""
    if config is not None and options:
        raise ConfigError(f"give either config or the options {sorted(options)}, not both")
    return config or ConvertConfig.from_json(options)


def check_destination(output: str | Path | None, source: ModelSource) -> None:
    """Refuse an output that is missing, cannot be written or would overwrite `source`.

    Raises:
        ConfigError: it is missing.
        OutputError: it cannot be written.
    """
    if output is None:
        raise ConfigError("output is missing; name the .onnx file to write, or ask for a dry run")
    check_output(output, source)


def _check_original(model: ir.Model, name: str) -> None:
    """Refuse to convert twice: codes of codes would only add error."""
    if any(node.domain == DOMAIN for node in model.graph.all_nodes()):
        raise ModelError(f"{name}: it is a spiking network already; convert the original instead")


def _check_runnable(model: ir.Model, name: str) -> None:
    """Refuse a model that calibration cannot run."""
    for node in model.graph.all_nodes():
        if node.domain not in _RUNNABLE_DOMAINS and node.op_identifier() not in model.functions:
            raise ModelError(
                f"{name}: calibration cannot run node {name_of(node)!r}: onnxruntime knows no operator "
                f"{node.domain}.{node.op_type}; convert the model without it, or define it as a function "
                "of the model"
            )


@contextmanager
def _staged_folder(folder: Path, source: Path) -> Iterator[Path]:
    """A temporary folder whose files move to `folder` when the block ends, and vanish when it fails.

    Raises:
        OutputError: `folder` is the source or a file, or cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output '{folder}' is a file, but a folder is read; name a folder")
    if folder.exists() and folder.samefile(source):
        raise OutputError(f"output folder '{folder}' is the folder that is read; name another one")
    with ExitStack() as stack:
        try:
            place = tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent)
            stage = Path(stack.enter_context(place))
        except OSError as error:
            raise OutputError(f"output folder '{folder}' cannot be made ({error})") from error
        yield stage
        try:
            folder.mkdir(exist_ok=True)
            for file in sorted(stage.iterdir()):
                file.replace(folder / file.name)
        except OSError as error:
            raise OutputError(f"output folder '{folder}' cannot be written ({error})") from error


_RUNNABLE_DOMAINS = frozenset(
    (
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.preview.training",
        "ai.onnx.training",
        MICROSOFT,
        "org.pytorch.aten",
    )
)
"""Domains of which onnxruntime brings operators; those of custom operator libraries are not loaded here."""


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as `stage`."""
        logger.info("%s", stage)
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
