# SPDX-License-Identifier: Apache-2.0
"""Options: what is accepted, what is refused and why, and that files keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnx_snn import Body, ConfigError, ConvertConfig, Preset, Scope, convert
from onnx_snn.config.convert_config import PAPER_BASES, default_bases
from onnx_snn.config.node_settings import NodeSettings

CHANGED = ConvertConfig(
    timesteps=3,
    scope=Scope.NONLINEAR,
    preset=Preset.PAPER,
    body=Body.CLOSED,
    gate=False,
    headroom=2.0,
    include=("a", "b"),
    exclude=("c",),
    strict=True,
    nodes=(NodeSettings("d", "operand 1", timesteps=4, bases=2, gate=True, headroom=1.5), NodeSettings("e", bases=3)),
)
"""Every option has another value than its default."""


@pytest.mark.parametrize("timesteps", range(1, 17))
def test_one_to_sixteen_time_steps_are_accepted(timesteps: int) -> None:
    assert ConvertConfig(timesteps=timesteps).timesteps == timesteps


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        *[("timesteps", value, "expected a whole number from 1 to 16") for value in (0, 17, -1)],
        *[("timesteps", value, "expected a whole number") for value in (2.5, 8.0, "x", "8", None, True)],
        *[("headroom", value, "expected 1 to 1024") for value in (0.5, 1025, float("nan"), "wide", None)],
        *[("max_error", value, "expected a relative error above 0, below 1") for value in (0.0, -0.1, 1.0, "1%", True)],
        ("fast", 1, "expected true or false"),
        ("scope", "everything", "expected one of 'nonlinear', 'full'"),
        ("preset", "ours", "expected one of 'default', 'paper'"),
        ("body", "open", "expected one of 'loop', 'closed'"),
        ("gate", "yes", "expected true or false"),
        ("strict", 1, "expected true or false"),
        ("include", 3, "expected names or regular expressions"),
        ("exclude", [3], "expected names or regular expressions"),
    ],
)
def test_a_bad_value_is_quoted_with_what_was_expected(option: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} is {value!r}".replace("[", r"\[")) as caught:
        ConvertConfig(**{option: value})
    assert says in str(caught.value)


def test_choices_may_be_given_by_their_values_and_names_alone() -> None:
    config = ConvertConfig(scope="nonlinear", preset="paper", body="closed", include="a")  # type: ignore[arg-type]
    assert (config.scope, config.preset, config.body) == (Scope.NONLINEAR, Preset.PAPER, Body.CLOSED)
    assert config.include == ("a",)


@pytest.mark.parametrize("config", [ConvertConfig(), CHANGED], ids=["default", "changed"])
def test_json_keeps_every_option(config: ConvertConfig, tmp_path: Path) -> None:
    assert ConvertConfig.from_json(config.to_json()) == config
    path = tmp_path / "snn_config.json"
    path.write_text(json.dumps(config.to_json()))
    assert ConvertConfig.from_json(path) == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("timesteps: 4", "cannot be read as a JSON configuration"),
        ("[4]", r"cannot be read as a JSON configuration \(it is a list; expected an object\)"),
        ('{"time_steps": 4}', r"unknown options \['time_steps'\]; known are"),
        ('{"timesteps": "4"}', "timesteps is '4'"),
    ],
)
def test_a_bad_file_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        ConvertConfig.from_json(path)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("binary", "missing.json"):
        with pytest.raises(ConfigError, match=name):
            ConvertConfig.from_json(tmp_path / name)


def test_codes_of_many_levels_get_fewer_bases_and_the_paper_its_own() -> None:
    assert default_bases(8).identity > default_bases(9).identity
    assert default_bases(9).function == default_bases(8).function
    assert ConvertConfig(preset=Preset.PAPER, timesteps=4).bases == PAPER_BASES
    assert ConvertConfig(timesteps=4).bases == default_bases(4)


def test_convert_takes_a_config_or_options_but_not_both() -> None:
    with pytest.raises(ConfigError, match=r"either config or the options \['timesteps'\]"):
        convert("model.onnx", config=ConvertConfig(), timesteps=4)
    with pytest.raises(ConfigError, match=r"unknown options \['time_steps'\]"):
        convert("model.onnx", time_steps=4)


def test_files_of_former_versions_keep_their_neurons() -> None:
    sparse, exact, neither = (ConvertConfig.from_json({"lean": lean, "timesteps": 8}) for lean in (True, False, None))
    assert (sparse.fast, sparse.sparse) == (True, True)
    assert (exact.fast, exact.sparse) == (True, False)
    assert neither == ConvertConfig()
