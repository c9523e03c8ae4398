"""YAML 1.2's core schema: what plain values mean in a study file; used by ``document``.

By YAML 1.1, PyYAML reads ``off`` as a boolean, ``010`` as 8 and ``1e-4`` as a text.

Source: YAML 1.2.2, section 10.3.
"""

from __future__ import annotations

import re

import yaml


class Loader(yaml.SafeLoader):
    """Reads plain values by YAML 1.2: PyYAML's own loader knows only 1.1."""


# A dictionary of its own: the inherited one belongs to all loaders of PyYAML.
Loader.yaml_implicit_resolvers = {}

for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)", list("-+0123456789")),
    (
        "float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
        r"|\.(?:nan|NaN|NAN))",
        list("-+.0123456789"),
    ),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^{_pattern}$"), _first)


class Dumper(yaml.SafeDumper):
    """Quotes texts that either version of YAML would read as something else."""


for _first, _patterns in Loader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _patterns:
        Dumper.add_implicit_resolver(_tag, _pattern, [_first])
