# SPDX-License-Identifier: Apache-2.0
"""Spike trains in files: the spikes that a network counts, in order, readable as NIRData, and within a size."""

from __future__ import annotations

import json
from pathlib import Path

import networks
import numpy as np
import pytest
from networks import normal

import onnx_snn
from onnx_snn import CalibrationError, ConfigError, ModelError, OutputError
from onnx_snn.cli.main import main
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons.mbe import time_loop
from onnx_snn.neurons.opset import Body
from onnx_snn.profiling.spike_outputs import meter


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classifier") / "spiking.onnx"
    onnx_snn.convert(networks.classifier(), path, {"x": normal(16, 8)}, fast=True, timesteps=4, progress=False)
    return path


def exported(path: Path, data: networks.Feeds, folder: Path, **options: object) -> onnx_snn.SpikeExport:
    return onnx_snn.export_spikes(path, data, folder, progress=False, **options)  # type: ignore[arg-type]


def test_events_decode_to_what_the_neuron_answers(classifier: Path, tmp_path: Path) -> None:
    x = normal(3, 8, seed=9)
    (written,) = exported(classifier, {"x": x}, tmp_path / "events", nodes=["x/code"]).files
    record = onnx_snn.read_spikes(tmp_path / "events" / written.file)
    (entry,) = [each for each in meter(load_model(classifier), Body.LOOP) if each.node.name == "x/code"]
    scale = entry.node.inputs[-1].const_value.numpy()
    assert (record.name, record.source, record.samples) == ("x/code", "identity", 3)
    for sample, row in enumerate(x):
        trains = record.trains(sample).astype(np.float64)
        value = float(record.bias) + np.einsum("tne,tn,n->e", trains, record.intensity, record.weight)
        events = slice(record.sample[sample], record.sample[sample + 1])
        neuron, time = record.neuron[events].astype(np.int64), record.time[events].astype(np.int64)
        assert (np.diff(time * record.neurons + neuron) > 0).all()
        sign = np.ones(8)
        if record.populations == 2:
            population = neuron % 2
            assert (population == (row < 0)[neuron // 2 // record.bases]).all()
            sign = np.where(row < 0, -1.0, 1.0)
        expected = time_loop(entry.neuron, row / scale).y
        np.testing.assert_array_equal((sign * value).astype(np.float32), expected)


def test_every_neuron_writes_the_spikes_that_are_counted(tmp_path: Path) -> None:
    """Those within softmax and normalizations too, on sequences of two lengths."""
    path = tmp_path / "spiking.onnx"
    onnx_snn.convert(networks.attention(), path, {"x": normal(8, 4, 8)}, fast=True, progress=False)
    feeds = [{"x": normal(2, length, 8, seed=length)} for length in (3, 5)]
    result = onnx_snn.export_spikes(path, feeds, tmp_path / "events", samples=None, progress=False)
    counted = onnx_snn.profile(path, feeds, progress=False).neurons
    assert [(each.neuron, each.events, each.counted) for each in result.files] == [
        (activity.name, activity.total, activity.total) for activity in counted
    ]
    for each, activity in zip(result.files, counted, strict=True):
        record = onnx_snn.read_spikes(tmp_path / "events" / each.file)
        spikes = sum(record.trains(sample).sum(axis=2) for sample in range(record.samples))
        np.testing.assert_array_equal(spikes, activity.spikes, err_msg=each.neuron)
    index = json.loads((tmp_path / "events" / "index.json").read_text())
    assert (index["samples"], len(index["files"])) == (2, len(counted))


def test_both_formats_are_the_same_data_of_nir(classifier: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    nir = pytest.importorskip("nir")
    x = {"x": normal(3, 8, seed=9)}
    arrays, groups = (
        exported(classifier, x, tmp_path / name, nodes=["gelu"], format=name).files[0] for name in ("npz", "hdf5")
    )
    record = onnx_snn.read_spikes(tmp_path / "npz" / arrays.file)
    (node,) = nir.read_data(tmp_path / "hdf5" / groups.file).nodes.values()
    read, made, grid = node.observables["spikes"], record.event_data(), record.time_gridded_data()
    np.testing.assert_array_equal(read.idx, made.idx)
    np.testing.assert_array_equal(read.time, made.time)
    assert (read.n_neurons, read.t_max) == (made.n_neurons, made.t_max) == (record.neurons, record.timesteps)
    assert record.neurons == 16 * record.bases * record.populations
    np.testing.assert_array_equal(made.to_time_gridded(1.0).data, grid.data)
    assert grid.data.sum() == arrays.events


def test_the_size_is_told_first_and_kept(classifier: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = tmp_path / "events"
    exported(classifier, {"x": normal(64, 8)}, folder, announce=lines.append, samples=64)
    (line,) = lines
    told = int(line.split(" bytes")[0].split()[-1].replace(",", ""))
    assert sum(file.stat().st_size for file in folder.glob("*.npz")) <= told
    with pytest.raises(OutputError, match="take fewer samples or nodes"):
        exported(classifier, {"x": normal(64, 8)}, tmp_path / "more", max_bytes=told // 8)
    assert not (tmp_path / "more").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["events"]


def test_what_cannot_be_written_is_refused(classifier: Path, tmp_path: Path) -> None:
    data = {"x": normal(2, 8)}
    with pytest.raises(ConfigError, match=r"no neuron .* is called 'gelo'; close names are \['gelu'\]"):
        exported(classifier, data, tmp_path / "events", nodes=["gelo"])
    with pytest.raises(ConfigError, match="expected one of"):
        exported(classifier, data, tmp_path / "events", format="csv")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(OutputError, match="is not empty"):
        exported(classifier, data, tmp_path / "full")
    with pytest.raises(OutputError, match="does not exist"):
        exported(classifier, data, tmp_path / "no" / "events")
    with pytest.raises(OutputError, match="is a file"):
        exported(classifier, data, tmp_path / "full" / "a")
    with pytest.raises(ModelError, match="no spiking nodes"):
        onnx_snn.export_spikes(networks.classifier(), data, tmp_path / "events")


def test_a_file_of_something_else_is_refused(tmp_path: Path, classifier: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    with pytest.raises(CalibrationError, match="holds no spike trains"):
        onnx_snn.read_spikes(tmp_path / "x.npz")
    (written,) = exported(classifier, {"x": normal(2, 8)}, tmp_path / "events", nodes=["gelu"]).files
    arrays = dict(np.load(tmp_path / "events" / written.file))
    for name, value in {
        "time": arrays["time"] + 40,
        "sample": arrays["sample"][1:],
        "neuron": arrays["neuron"][1:],
    }.items():
        np.savez(tmp_path / "damaged.npz", **{**arrays, name: value})
        with pytest.raises(CalibrationError, match="do not belong together"):
            onnx_snn.read_spikes(tmp_path / "damaged.npz")


def test_commands_write_and_draw(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data.npz", x=normal(3, 8))
    command = ["spikes", str(classifier), str(tmp_path / "data.npz"), "-o", str(tmp_path / "events")]
    assert main([*command, "--nodes", "ge*", "--samples", "2", "--max-bytes", "1M"]) == 0
    captured = capsys.readouterr()
    assert "writing 1 files of about" in captured.err
    assert "on 2 samples" in captured.out
    (file,) = (tmp_path / "events").glob("*.npz")
    assert main(["raster", str(file), "-o", str(tmp_path / "raster.png"), "--sample", "1"]) == 0
    assert (tmp_path / "raster.png").read_bytes().startswith(b"\x89PNG")
    assert main(["raster", str(file), "-o", str(tmp_path / "raster.png"), "--sample", "2"]) == 1
    assert main(["raster", str(file), "-o", str(file)]) == 1
    assert main(["raster", str(file), "-o", str(tmp_path / "raster.txt")]) == 1
    assert capsys.readouterr().err.count("\n") == 3
    with pytest.raises(SystemExit):
        main([*command, "--max-bytes", "many"])
