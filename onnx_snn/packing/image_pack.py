# SPDX-License-Identifier: Apache-2.0
"""An image processor in front of a network, compared with Transformers' own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_snn.data.data_files import DataFiles
from onnx_snn.data.processors import load_image_processor, preprocessor_folder, processed
from onnx_snn.errors import CalibrationError, PackError
from onnx_snn.graph.map_types import to_proto
from onnx_snn.packing.extensions import extensions_options, required
from onnx_snn.packing.graph_writer import GraphWriter
from onnx_snn.packing.image_front import IMAGE, write_image_processor
from onnx_snn.packing.inputs import connect
from onnx_snn.packing.verification import IR_VERSION

SIZES = ((32, 32), (40, 97), (181, 64), (300, 451), (224, 224), (17, 5))
"""Height and width of the images that are compared."""

TOLERANCE = 1.001
"""Largest difference, in levels of an 8-bit pixel: see `onnx_snn.packing.pillow_resize`."""


class PackedImage(NamedTuple):
    """What was compared.

    Attributes:
        compared: Number of images.
        difference: Largest difference of what the network reads, in levels of an 8-bit pixel.
    """

    compared: int
    difference: float


def pack_image(network: ir.Model, path: Path) -> PackedImage:
    """Put the image processor of `path` before `network`, in place, once its pixels are right.

    Raises:
        PackError: the network does not read one image, the processor cannot be written, or pixels differ.
    """
    target = _input(network)
    try:
        folder = preprocessor_folder(DataFiles("", processor=path))
        assert folder is not None, "one is named"
        processor = load_image_processor(folder)
    except CalibrationError as error:
        raise PackError(str(error)) from error
    steps = processor.to_dict()
    packed = check_pixels(processor, steps, network.opset_imports[""])
    write = GraphWriter(network)
    made = write_image_processor(write, write.input(IMAGE, ir.DataType.UINT8, ["bytes"]), steps)
    made.dtype = ir.DataType.FLOAT
    connect(write, {str(target.name): made})
    write.put_first()
    return packed


def _input(network: ir.Model) -> ir.Value:
    """The only input.

    Raises:
        PackError: there are several, or it is no batch of images.
    """
    inputs = [value for value in network.graph.inputs if value.name not in network.graph.initializers]
    if len(inputs) != 1:
        raise PackError(f"an image processor makes one input, but the network has {[value.name for value in inputs]}")
    [value] = inputs
    shape = value.shape
    floating = value.dtype is not None and value.dtype.is_floating_point()
    if not floating or shape is None or len(shape) != 4 or (shape[0] not in (1,) and isinstance(shape[0], int)):
        raise PackError(
            f"the input '{value.name}' is {value.dtype} {shape}, and not one image of floats, "
            "[batch, channels, height, width]"
        )
    return value


def check_pixels(processor: Any, steps: Mapping[str, Any], opset: int) -> PackedImage:
    """Compare what the network would read of images of many sizes, in PNG files, with what `processor` makes.

    Raises:
        PackError: it differs.
    """
    run = image_session(steps, opset)
    level = np.full((1, 1, 1, 1), float(steps["rescale_factor"]) if steps.get("do_rescale") else 1.0)
    if steps.get("do_normalize"):
        level = level / np.reshape(steps["image_std"], (1, -1, 1, 1))
    largest = 0.0
    images = list(sample_images())
    for pixels, file in images:
        wanted = processed(processor, pixels, "an image", input_data_format="channels_last")["pixel_values"]
        made = run(file)
        height, width = pixels.shape[:2]
        if made.shape != wanted.shape:
            raise PackError(
                f"an image of {height} x {width} would become {made.shape}, and {wanted.shape} by the processor"
            )
        difference = float((np.abs(made - wanted) / level).max())
        if difference > TOLERANCE:
            raise PackError(
                f"{type(processor).__name__} makes something else of an image of {height} x {width} than its steps "
                f"written as a graph: pixels differ by up to {difference:.3g} of 255. No file is written"
            )
        largest = max(largest, difference)
    return PackedImage(len(images), largest)


def image_session(steps: Mapping[str, Any], opset: int) -> Callable[[bytes], NDArray[np.float32]]:
    """A function from the bytes of a file to what a network reads, float32 [1, channels, height, width].

    Raises:
        PackError: a step cannot be written, or onnxruntime-extensions cannot run it.
    """
    model = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": opset}, name="image"), ir_version=IR_VERSION)
    write = GraphWriter(model)
    pixels = write_image_processor(write, write.input(IMAGE, ir.DataType.UINT8, ["bytes"]), steps)
    write.output(0, "pixels", pixels, ir.DataType.FLOAT, [1, "channels", "height", "width"])
    write.put_first()
    try:
        session = ort.InferenceSession(to_proto(model).SerializeToString(), extensions_options())
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise PackError(f"onnxruntime-extensions cannot run the image processor ({error})") from error

    def run(file: bytes) -> NDArray[np.float32]:
        pixels: NDArray[np.float32] = session.run(None, {IMAGE: np.frombuffer(file, np.uint8)})[0]
        return pixels

    return run


def sample_images() -> Iterator[tuple[NDArray[np.uint8], bytes]]:
    """Images of waves of random colours, uint8 [height, width, 3], and each as a PNG file.

    They stay within the range of pixels whatever the filter: see `onnx_snn.packing.pillow_resize`.
    """
    image = required("PIL.Image")
    generator = np.random.default_rng(0)
    for height, width in SIZES:
        rows, columns = (np.arange(size, dtype=float)[:, None] for size in (height, width))
        waves = [np.sin(axis * generator.uniform(0.05, 0.5, 3)) for axis in (rows, columns)]
        pixels = np.round(128 + 48 * (waves[0][:, None] + waves[1][None])).astype(np.uint8)
        file = io.BytesIO()
        image.fromarray(pixels).save(file, "PNG")
        yield pixels, file.getvalue()
