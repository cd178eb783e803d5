# SPDX-License-Identifier: Apache-2.0
"""Image processors as graphs: pixels as Pillow and Transformers make them, or a refusal."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from c_program import classify, written
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.errors import PackError
from onnx_snn.packing.image_pack import image_session, sample_images

image = pytest.importorskip("PIL.Image")

OPSET = 17


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def file_of(pixels: NDArray[np.uint8], kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    written = io.BytesIO()
    image.fromarray(pixels).convert(mode).save(written, kind, **options)
    return written.getvalue()


def resized(size: dict[str, int], resample: int, pixels: NDArray[np.uint8], **steps: Any) -> NDArray[np.float32]:
    run = image_session({"do_resize": True, "size": size, "resample": resample, **steps}, OPSET)
    return run(file_of(pixels))[0].transpose(1, 2, 0)


@pytest.mark.parametrize("resample", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("size", [(21, 40), (30, 70), (30, 11), (64, 40)])
def test_resizing_one_axis_gives_pillows_pixels(resample: int, size: tuple[int, int]) -> None:
    pixels = noise(30, 40)
    wanted = np.asarray(image.fromarray(pixels).resize(size[::-1], resample=resample))
    assert np.array_equal(resized(dict(zip(("height", "width"), size, strict=True)), resample, pixels), wanted)


@pytest.mark.parametrize("resample", [0, 1, 2, 3, 5])
def test_resizing_both_axes_differs_by_one_level_at_most(resample: int) -> None:
    """Versions of Pillow differ in which axis comes first."""
    run = image_session({"do_resize": True, "size": {"height": 21, "width": 28}, "resample": resample}, OPSET)
    for pixels, file in itertools.islice(sample_images(), 3):
        wanted = np.asarray(image.fromarray(pixels).resize((28, 21), resample=resample)).astype(int)
        assert np.abs(run(file)[0].transpose(1, 2, 0) - wanted).max() <= (resample != 0)


@pytest.mark.parametrize(("shape", "wanted"), [((20, 40), (24, 48)), ((41, 20), (49, 24)), ((24, 24), (24, 24))])
def test_the_shortest_edge_keeps_the_ratio(shape: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert resized({"shortest_edge": 24}, 2, noise(*shape)).shape[:2] == wanted


def test_cropping_takes_the_middle_and_pads_what_is_missing() -> None:
    pixels = noise(5, 8)
    run = image_session({"do_center_crop": True, "crop_size": {"height": 8, "width": 5}}, OPSET)
    made = run(file_of(pixels))[0].transpose(1, 2, 0)
    wanted = np.zeros((8, 5, 3))
    wanted[2:7] = pixels[:, 1:6]
    assert np.array_equal(made, wanted)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_colours_of_png_files(mode: str) -> None:
    pixels = noise(6, 7)
    made = image_session({}, OPSET)(file_of(pixels, mode=mode))[0].transpose(1, 2, 0)
    assert np.array_equal(made, np.asarray(image.fromarray(pixels).convert(mode).convert("RGB")))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_files_of_full_colour(mode: str) -> None:
    """Decoders differ in how they round."""
    smooth = np.linspace(0, 255, 24 * 16 * 3).reshape(24, 16, 3).astype(np.uint8)
    file = file_of(smooth, "JPEG", mode, quality=90, subsampling=0)
    wanted = np.asarray(image.open(io.BytesIO(file)).convert("RGB")).astype(int)
    made = image_session({}, OPSET)(file)[0].transpose(1, 2, 0)
    assert np.abs(made - wanted).max() <= 3


def test_what_is_no_whole_file_is_refused() -> None:
    """The decoder would end the process, or not end."""
    run = image_session({}, OPSET)
    jpeg, png = file_of(noise(16, 16), "JPEG"), file_of(noise(16, 16))
    for damaged in (b"", b"\xff", jpeg[: len(jpeg) // 2], jpeg[:-2], b"BM" + jpeg, jpeg[1:], b"GIF89a" + bytes(64)):
        with pytest.raises(Exception, match="a_whole_JPEG_or_PNG_file_is_needed"):
            run(damaged)
    with pytest.raises(Exception, match="DecodeImage"):
        run(png[: len(png) // 2])


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ({"do_pad": True}, "has the step do_pad"),
        ({"do_resize": True, "size": {"longest_edge": 4}, "resample": 2}, "height and width or shortest_edge"),
        ({"do_resize": True, "size": {"height": 4, "width": 4}, "resample": 4}, "resample is 4"),
        ({"do_resize": True, "size": {"shortest_edge": 4}, "resample": 2, "crop_pct": 0.9}, "crop_pct"),
    ],
)
def test_steps_that_cannot_be_written_are_refused(steps: dict[str, Any], reason: str) -> None:
    with pytest.raises(PackError, match=reason):
        image_session(steps, OPSET)


def network(path: Path, shape: str = "batch, 3, 8, 8", kind: str = "float") -> Path:
    """The mean of each channel, of an image that a processor makes."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net ({kind}[{shape}] pixel_values) => ({kind}[batch, 3] logits) {{
            logits = ReduceMean <axes: ints = [2, 3], keepdims: int = 0> (pixel_values)
        }}"""
    )
    onnx.save(model, path)
    return path


def processor(path: Path, **steps: Any) -> Path:
    described = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 8, "width": 8},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.5, 0.25, 0.2],
    }
    (path / "preprocessor_config.json").write_text(json.dumps({**described, **steps}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network and its processor, and the same packed."""
    pytest.importorskip("transformers")
    root = processor(tmp_path_factory.mktemp("image"))
    (root / "config.json").write_text(json.dumps({"id2label": {"0": "red", "1": "green", "2": "blue"}}))
    report = onnx_snn.pack(network(root / "model.onnx"), root / "packed.onnx", processor=root, top_k=3)
    assert report.reads == "image"
    return root


@pytest.mark.slow
def test_an_image_becomes_a_label(folder: Path) -> None:
    from transformers import AutoImageProcessor

    pixels = noise(20, 30)
    label, score, logits = onnx_snn.session(folder / "packed.onnx").run(
        None, {"image": np.frombuffer(file_of(pixels), np.uint8)}
    )
    wanted = AutoImageProcessor.from_pretrained(folder, use_fast=False)(pixels, return_tensors="np")["pixel_values"]
    assert np.allclose(logits, wanted.mean(axis=(2, 3)), atol=1e-2)
    assert (label[0] == np.array(["red", "green", "blue"])[np.argsort(-logits[0])]).all()
    assert np.isclose(score.sum(), 1)


@pytest.mark.slow
def test_a_c_program_reads_a_jpeg_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "noise.jpg"
    file.write_bytes(file_of(noise(20, 30, seed=1), "JPEG"))
    image_bytes = np.frombuffer(file.read_bytes(), np.uint8)
    label, score, _ = onnx_snn.session(folder / "packed.onnx").run(None, {"image": image_bytes})
    assert classify(folder / "packed.onnx", file, tmp_path) == written(label, score)


@pytest.mark.slow
def test_networks_that_read_no_image_are_refused(folder: Path, tmp_path: Path) -> None:
    for wrong, reason in (
        ({"shape": "batch, 3, 8"}, "and not one image of floats"),
        ({"shape": "2, 3, 8, 8"}, "and not one image of floats"),
        ({"kind": "int64"}, "and not one image of floats"),
    ):
        with pytest.raises(PackError, match=reason):
            onnx_snn.pack(network(tmp_path / "wrong.onnx", **wrong), tmp_path / "no.onnx", processor=folder)
    with pytest.raises(PackError, match="but the network reads images"):
        onnx_snn.pack(folder / "model.onnx", tmp_path / "no.onnx", processor=folder, texts=["a"])
    assert not (tmp_path / "no.onnx").exists()
