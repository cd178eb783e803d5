# SPDX-License-Identifier: Apache-2.0
"""The options of a conversion: those of a file, overridden by the arguments that were given."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from onnx_snn.config.config_file import read_options
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.errors import ConfigError


def network_settings(options: argparse.Namespace) -> ConvertConfig | dict[str, ConvertConfig]:
    """Options from `--config`, overridden by the flags that were given; of each model where the file names models.

    Raises:
        ConfigError: a file or an option is invalid.
    """
    if options.point is not None and not options.config:
        raise ConfigError(f"point is {options.point}, but no file of a Pareto front is given; name it with --config")
    base = read_options(Path(options.config), options.point) if options.config else {}
    if base and all(name.endswith(".onnx") for name in base):
        return {name: _overridden(entry, options) for name, entry in base.items()}
    return _overridden(base, options)


def common_settings(options: argparse.Namespace) -> ConvertConfig:
    """Options of one network from `--config`, overridden by the flags that were given."""
    return _overridden(read_options(Path(options.config)) if options.config else {}, options)


def _overridden(base: dict[str, Any], options: argparse.Namespace) -> ConvertConfig:
    """The options in `base`, overridden by the flags that were given."""
    # `--nodes` asks for a report of every node; settings of single nodes come from `--config` alone.
    fields = {field.name for field in dataclasses.fields(ConvertConfig)} - {"nodes"}
    names = sorted(name for name in fields if hasattr(options, name))
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return ConvertConfig.from_json({**ConvertConfig.from_json(base).to_json(), **given})
