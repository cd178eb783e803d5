# SPDX-License-Identifier: Apache-2.0
"""Images in files, read by Pillow and turned into the input of a model by its image processor.

Without a processor an input of bytes takes the pixels as they are; an input of floats needs to know how to scale them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.data_files import DataFiles, Request, files_in, required
from onnx_snn.data.labels import folder_labels
from onnx_snn.data.processors import PREPROCESSOR, as_inputs, load_image_processor, preprocessor_folder, processed
from onnx_snn.data.sample_sets import SampleSet, stacked
from onnx_snn.data.specs import Feed, InputSpec
from onnx_snn.errors import CalibrationError

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Ends of the names of image files."""

CHANNELS = (1, 3)
"""Numbers of channels of grey and of colour images."""


class Images(SampleSet):
    """The images in a folder and the folders in it; the names of these are the labels."""

    def __init__(self, request: Request) -> None:
        self._paths = files_in(request.path, SUFFIXES)
        self._files = request.files
        self._reader = ImageReader(request.files, request.specs)

    @cached_property
    def labels(self) -> NDArray[Any] | None:
        """The label of each image, by the name of its folder."""
        return folder_labels(self._paths, self._files)

    def __len__(self) -> int:
        return len(self._paths)

    def feeds(self, indices: Sequence[int]) -> Iterator[Feed]:
        """The images `indices`."""
        return stacked(self._reader.feed(self._paths[i], f"image '{self._paths[i]}'") for i in indices)


class ImageReader:
    """Turns images into the inputs of a model.

    Raises:
        CalibrationError: a package is missing, or nothing says how images become inputs.
    """

    def __init__(self, files: DataFiles, specs: Sequence[InputSpec]) -> None:
        self._pillow = required("PIL.Image", "pillow", "reading images")
        self._oriented: Callable[[Any], Any] = required("PIL.ImageOps", "pillow", "reading images").exif_transpose
        self._specs, self._input = specs, _image_input(files, specs)
        _, first, _, last = self._input.shape
        self._channels_last = last in CHANNELS and first not in CHANNELS
        self._grey = (last if self._channels_last else first) == 1
        folder = preprocessor_folder(files)
        self._processor = None if folder is None else load_image_processor(folder)
        if folder is None and self._input.dtype != np.uint8:
            places = ", ".join(f"'{place}'" for place in files.folders())
            raise CalibrationError(
                f"images need a {PREPROCESSOR}, which says how pixels become input '{self._input.name}'; none is in "
                f"{places}: name the file or its folder with --processor"
            )

    def feed(self, image: Any, where: str) -> Feed:
        """The feed of one image.

        Args:
            image: path, open binary file, or image of Pillow.
            where: what messages call it.

        Raises:
            CalibrationError: the image cannot be read or does not fit the model.
        """
        pixels = self._read(image, where)
        if self._processor is None:
            laid = pixels if self._channels_last else pixels.transpose(2, 0, 1)
            return as_inputs({self._input.name: laid[None]}, self._specs, where)
        layout = "channels_last" if self._channels_last else "channels_first"
        made = processed(self._processor, pixels, where, data_format=layout, input_data_format="channels_last")
        return as_inputs(made, self._specs, where)

    def _read(self, image: Any, where: str) -> NDArray[np.uint8]:
        """The pixels [height, width, channels] of the upright image, in grey where the model takes one channel."""
        mode = "L" if self._grey else "RGB"
        try:
            if isinstance(image, self._pillow.Image):
                pixels = self._oriented(image).convert(mode)
            else:
                with self._pillow.open(image) as opened:
                    pixels = self._oriented(opened).convert(mode)
        except (OSError, ValueError, SyntaxError, self._pillow.DecompressionBombError) as error:
            raise CalibrationError(f"cannot read {where}: {error}") from error
        return np.asarray(pixels).reshape(pixels.height, pixels.width, -1)


def _image_input(files: DataFiles, specs: Sequence[InputSpec]) -> InputSpec:
    """The input of a model that takes images: the first one with four axes.

    Raises:
        CalibrationError: there is none.
    """
    for spec in specs:
        if len(spec.shape) == 4:
            return spec
    raise CalibrationError(
        f"'{files.path}' holds images, and no input of the model has four axes: {[spec.name for spec in specs]}"
    )
