# SPDX-License-Identifier: Apache-2.0
"""Configurations in JSON files.

An object of options is that of one network. A file of a Pareto front, as `tune` writes it, has one for each point:

    {"points": [{"point": 1, "config": {...}}, ...]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx_snn.errors import ConfigError
from onnx_snn.json_files import read_object

POINTS = "points"
"""Key of a file of a front that holds its points."""


def read_options(path: Path, point: int | None = None) -> dict[str, Any]:
    """The JSON object of options in a file.

    Args:
        path: file of a configuration or of a front.
        point: number of the point of a front, from 1.

    Raises:
        ConfigError: the file cannot be read or is no JSON object, a front is given without one of its points, or a
            point of a file that is no front.
    """
    try:
        value = read_object(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a JSON configuration ({error})") from error
    if POINTS not in value:
        if point is not None:
            raise ConfigError(f"point is {point}, but '{path}' is no Pareto front; leave the point out")
        return value
    configurations = _configurations(path, value[POINTS])
    choices = f"points 1 to {len(configurations)}"
    if point is None:
        raise ConfigError(f"'{path}' is a Pareto front; choose one of its {choices}, such as --point 1")
    if not 1 <= point <= len(configurations):
        raise ConfigError(f"point is {point}, but '{path}' has {choices}")
    return configurations[point - 1]


def _configurations(path: Path, points: Any) -> list[dict[str, Any]]:
    """The configurations of all points.

    Raises:
        ConfigError: a point has none, or there is no point.
    """
    entries = points if isinstance(points, list) else []
    found = [entry.get("config") if isinstance(entry, dict) else None for entry in entries]
    configurations = [config for config in found if isinstance(config, dict)]
    if not found or len(configurations) != len(found):
        raise ConfigError(f"'{path}' is no Pareto front as tune writes it: '{POINTS}' holds no list of configurations")
    return configurations
