# SPDX-License-Identifier: Apache-2.0
"""From the bytes of an image file to the input of a network, by the steps of a preprocessor_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.graph_writer import IMAGES, GraphWriter
from onnx_snn.packing.pillow_resize import write_resize

IMAGE = "image"
"""Name of the input of a packed network that reads images."""

STEPS = ("do_convert_rgb", "do_resize", "do_center_crop", "do_rescale", "do_normalize")
"""Steps of image processors that can be written."""

JPEG, PNG = (0xFF, 0xD8, 0xFF), (0x89, 0x50, 0x4E)
"""How files of these formats begin."""

END_OF_IMAGE = (0xFF, 0xD9)
"""How the data of a JPEG file ends."""

LONGEST_SEGMENT = 2**16
"""Bytes that the decoder may look for behind the end of a damaged JPEG file."""


def write_image_processor(write: GraphWriter, data: ir.Value, steps: Mapping[str, Any]) -> ir.Value:
    """The input of a network, float32 [1, 3, height, width], of a JPEG or PNG file, uint8 [bytes].

    Args:
        write: Where nodes are written.
        data: The file.
        steps: The steps of the image processor, all of its defaults included.

    Raises:
        PackError: a step cannot be written.
    """
    unknown = [name for name, value in steps.items() if name.startswith("do_") and value and name not in STEPS]
    if unknown:
        raise PackError(
            f"the image processor has the step {unknown[0]}, which cannot be written; {', '.join(STEPS)} can"
        )
    image = write.Cast(write.Transpose(_decoded(write, data), perm=[2, 0, 1]), to=ir.DataType.DOUBLE)
    if steps.get("do_resize"):
        height, width = _size(write, image, steps["size"], steps.get("crop_pct"))
        image = write_resize(write, image, height, width, int(steps["resample"]))
    if steps.get("do_center_crop"):
        crop = steps["crop_size"]
        image = _cropped(write, _cropped(write, image, 1, crop["height"]), 2, crop["width"])
    if steps.get("do_rescale"):
        image = write.Mul(image, np.array(steps["rescale_factor"], np.float64))
    image = write.Cast(image, to=ir.DataType.FLOAT)
    if steps.get("do_normalize"):
        mean, deviation = (np.array(steps[name], np.float32).reshape(-1, 1, 1) for name in ("image_mean", "image_std"))
        image = write.Div(write.Sub(image, mean), deviation)
    return write.Unsqueeze(image, [0])


def _decoded(write: GraphWriter, data: ir.Value) -> ir.Value:
    """Pixels of a file, uint8 [height, width, 3] in the order red, green, blue; grey becomes all three.

    The decoder ends the process, or does not end, on what is no whole JPEG file, so that such bytes do not reach it.
    """
    read = write.Cast(write.Concat(data, np.zeros(3, np.uint8), axis=0), to=ir.DataType.INT64)
    begin = write.Slice(read, [0], [3])
    png = _all(write, write.Equal(begin, list(PNG)))
    first, second = (
        write.Equal(write.Slice(read, *span), byte)
        for span, byte in zip((([0], [-1]), ([1], [2**62])), END_OF_IMAGE, strict=True)
    )
    ends = write.ReduceMax(write.Cast(write.And(first, second), to=ir.DataType.INT64), keepdims=0)
    jpeg = write.And(_all(write, write.Equal(begin, list(JPEG))), write.Equal(ends, 1))
    whole = write.Or(png, jpeg)
    # The index of the only row, or one that does not exist.
    row = write.Where(whole, 0, 1)
    rows = write.Unsqueeze(data, [0])
    checked = write.op("", "Gather", [rows, row], axis=0, node_name="a_whole_JPEG_or_PNG_file_is_needed")[0]
    padding = write.Tile(np.array(END_OF_IMAGE, np.uint8), [LONGEST_SEGMENT])
    pixels = write.op(IMAGES, "DecodeImage", [write.Concat(checked, padding, axis=0)])[0]
    return write.Gather(write.Expand(pixels, [1, 1, 3]), [2, 1, 0], axis=2)


def _all(write: GraphWriter, found: ir.Value) -> ir.Value:
    return write.Equal(write.ReduceSum(write.Cast(found, to=ir.DataType.INT64), keepdims=0), 3)


def _size(
    write: GraphWriter, image: ir.Value, size: Mapping[str, int], crop_pct: float | None
) -> tuple[ir.Value, ir.Value]:
    """New height and width, int64 scalars.

    Raises:
        PackError: it is given in another way than as height and width or as shortest edge.
    """
    if crop_pct is not None:
        raise PackError("the image processor has crop_pct, which cannot be written")
    if set(size) == {"height", "width"}:
        return write.Add(size["height"], 0), write.Add(size["width"], 0)
    if set(size) != {"shortest_edge"}:
        raise PackError(
            f"the image processor resizes to {dict(size)}; height and width or shortest_edge can be written"
        )
    shape = write.Slice(write.Shape(image), [1], [3])
    edges = write.Div(write.Mul(shape, size["shortest_edge"]), write.ReduceMin(shape, keepdims=0))
    return write.Gather(edges, 0), write.Gather(edges, 1)


def _cropped(write: GraphWriter, image: ir.Value, axis: int, size: int) -> ir.Value:
    """The middle of an axis, with zeros around where it is shorter than `size`."""
    excess = write.Sub(write.Gather(write.Shape(image), axis), size)
    begin = write.Div(write.Max(excess, 0), 2)
    missing = write.Max(write.Neg(excess), 0)
    before = write.Div(write.Add(missing, 1), 2)
    amounts: list[ir.Value] = [write.Mul(missing, 0)] * 6
    amounts[axis], amounts[axis + 3] = before, write.Sub(missing, before)
    pads = write.Concat(*(write.Unsqueeze(amount, [0]) for amount in amounts), axis=0)
    padded = write.Pad(image, pads, np.array(0.0, np.float64))
    first = write.Unsqueeze(begin, [0])
    return write.Slice(padded, first, write.Add(first, size), [axis])
