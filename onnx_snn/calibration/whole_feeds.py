# SPDX-License-Identifier: Apache-2.0
"""Networks that run on whole feeds only, though they do not fix the size of a batch.

Some average over the rows of a batch, such as four views of one image, and reshape to that number of rows.
"""

from __future__ import annotations

import itertools
import logging

import onnx_ir as ir

from onnx_snn.data.feeds import Feeds
from onnx_snn.errors import CalibrationError
from onnx_snn.runtime.tap_session import ShapeSession

logger = logging.getLogger(__name__)


def keep_whole(model: ir.Model, feeds: Feeds) -> None:
    """Let `feeds` be split no further where `model` does not run on one sample of the first of them.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """
    part, *others = itertools.islice(feeds.split(feeds.first()), 2)
    if not others:
        return
    session = ShapeSession(model, [next(iter(part))])  # all nodes run, whatever is asked for
    try:
        session(part)
    except CalibrationError as error:
        logger.info("the model does not run on one sample of a feed, so that feeds stay whole: %s", error)
        feeds.splits = False
