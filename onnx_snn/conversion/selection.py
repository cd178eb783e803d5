# SPDX-License-Identifier: Apache-2.0
"""Selection of the sites to convert, by scope and by the user's names.

Names are node names (or names of output values), given exactly or as regular expressions that match a whole name. The
name of a function call or a fused operator selects all sites of its decomposition. A name that matches nothing is an
error, because it is usually a typing mistake.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from onnx_snn.config.convert_config import ConvertConfig, Scope
from onnx_snn.config.node_settings import Settings
from onnx_snn.decompositions.decomposer import origin_of
from onnx_snn.errors import ConfigError
from onnx_snn.rules.site import Site, WeightMatmulSite

CLOSE_NAMES = 3
"""Number of similar node names that the error about an unknown name suggests."""


def select(sites: Sequence[Site], config: ConvertConfig) -> dict[Site, str]:
    """Reasons to keep a site as it is, by site; a site that is not in the result is to be converted.

    Raises:
        ConfigError: a name or expression of `config` matches no site or is not a valid expression.
    """
    included = matching(config.include, "include", sites) if config.include else set(sites)
    excluded = matching(config.exclude, "exclude", sites)
    kept: dict[Site, str] = {}
    for site in sites:
        if site in excluded:
            kept[site] = "excluded by name"
        elif site not in included:
            kept[site] = "not among the included names"
        elif isinstance(site, WeightMatmulSite) and config.scope is Scope.NONLINEAR:
            kept[site] = "weight matmul or convolution, which scope nonlinear leaves out"
    return kept


def resolve(sites: Sequence[Site], config: ConvertConfig) -> Settings:
    """The settings of every neuron of `sites`.

    Raises:
        ConfigError: an entry of `config.nodes` matches no site, or names a neuron that its sites do not have.
    """
    entries = [(entry, matching([entry.name], "nodes", sites)) for entry in config.nodes]
    return Settings(config.neuron, entries)


def matching(patterns: Iterable[str], option: str, sites: Sequence[Site]) -> set[Site]:
    """Sites that any of `patterns` names.

    Raises:
        ConfigError: a pattern names none, or is not a valid expression.
    """
    found: set[Site] = set()
    for pattern in patterns:
        # Exact names first: a node name with a bracket may be an invalid regular expression.
        matches = {site for site in sites if pattern in _names(site)} or _regex_matches(pattern, option, sites)
        if not matches:
            known = sorted({name for site in sites for name in _names(site)})
            close = difflib.get_close_matches(pattern, known, CLOSE_NAMES, cutoff=0.0)
            raise ConfigError(f"{option}: {pattern!r} matches no node that can be converted; closest are {close}")
        found |= matches
    return found


def _names(site: Site) -> list[str]:
    """Names that select `site`: those of its nodes and of the nodes that these were decomposed from."""
    origins = {origin for node in site.nodes if (origin := origin_of(node))}
    return [site.name, *(node.name for node in site.nodes if node.name), *sorted(origins)]


def _regex_matches(pattern: str, option: str, sites: Sequence[Site]) -> set[Site]:
    """Sites one of whose names the regular expression `pattern` matches as a whole."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{option}: {pattern!r} is neither a node name nor a regular expression ({error})") from error
    return {site for site in sites if any(expression.fullmatch(name) for name in _names(site))}
