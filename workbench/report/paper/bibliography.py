"""The works that a report cites for its methods and software.

The entries are in ``templates/references.bib``. Used by ``paper.files``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from workbench.report import templates
from workbench.report.content import Summary
from workbench.report.paper import typeset

_FILE = Path(templates.__file__).with_name("references.bib")

_OPTIMIZERS = {
    "adam": ("Adam", "kingma2015adam"),
    "adamax": ("AdaMax", "kingma2015adam"),
    "adamw": ("AdamW", "loshchilov2019adamw"),
    "nadam": ("NAdam", "dozat2016nadam"),
    "radam": ("RAdam", "liu2020radam"),
    "rmsprop": ("RMSprop", "tieleman2012rmsprop"),
    "adagrad": ("Adagrad", "duchi2011adagrad"),
    "adadelta": ("Adadelta", "zeiler2012adadelta"),
    "adafactor": ("Adafactor", "shazeer2018adafactor"),
}
_SAMPLERS = {
    "tpe": ("the tree-structured Parzen estimator", ("bergstra2011algorithms", "watanabe2023tpe")),
    "random": ("random search", ("bergstra2012random",)),
}
_PRUNERS = {
    "median": ("median pruning", ("golovin2017vizier",)),
    "successive_halving": ("successive halving", ("jamieson2016halving",)),
    "hyperband": ("Hyperband", ("li2018hyperband",)),
}


def works(summary: Summary) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names of the software and methods of a report, each with the keys of its works."""
    sampler, pruner = (str(summary.search.get(name)) for name in ("sampler", "pruner"))
    yield "Optuna", ("akiba2019optuna",)
    for catalogue, name in ((_SAMPLERS, sampler), (_PRUNERS, pruner)):
        if name in catalogue:
            yield catalogue[name]
    yield "PyTorch", ("paszke2019pytorch",)
    yield "MLflow", ("zaharia2018mlflow",)
    for optimizer in sorted(_optimizers(summary)):
        label, key = _OPTIMIZERS[optimizer]
        yield label, (key,)
    # Only what the study uses is cited.
    phases = (summary.plan or {}).get("phases") or ()
    if any(phase.get("schedule") == "cosine" for phase in phases):
        yield "the cosine schedule", ("loshchilov2017sgdr",)
    drawn = [figure.name for figure in summary.figures]
    if "importances" in drawn:
        yield "importances", ("watanabe2023pedanova", "hutter2014fanova")
    if "expected_maximum" in drawn:
        yield "the unbiased expected maximum", ("tang2020showing",)


def _optimizers(summary: Summary) -> set[str]:
    named = {str(label) for label in summary.factors.get("optimizer", ())}
    phases = (summary.plan or {}).get("phases") or ()
    named |= {str(phase.get("optimizer")) for phase in phases}
    named |= {str(item.best.optimizer) for item in summary.strategies if item.best}
    return named & _OPTIMIZERS.keys()


def with_citations(text: str, summary: Summary) -> str:
    r"""A methods text as LaTeX: escaped, with ``\citep``, and a list of works not named in it.

    Args:
        text: Plain, with blank lines between paragraphs and sources in brackets, separated by
            semicolons: ``[Hu et al. 2022, arXiv:2106.09685]``.
        summary: Of a study.
    """
    written = "\n\n".join(
        re.sub(r"\s?\[([^\[\]]*)\]", _cite, typeset.prose(paragraph))
        for paragraph in text.split("\n\n")
    ).replace(r"paired d\_z", "paired $d_z$")
    # Works that the text already cites are not repeated in the list.
    done = keys(written)
    sources = ", ".join(
        rf"{typeset.text(what)}~\citep{{{','.join(named)}}}"
        for what, named in works(summary)
        if not done.issuperset(named)
    )
    return f"{written}\n\nMethods and software: {sources}." if sources else written


def _cite(brackets: re.Match[str]) -> str:
    sources = brackets[1].split(";")
    known = [key for source in sources if (key := _key(source.strip()))]
    # Other brackets, for example an interval, stay as they are.
    return rf"~\citep{{{','.join(known)}}}" if len(known) == len(sources) else brackets[0]


def _key(source: str) -> str | None:
    """The key of a source such as ``Hu et al. 2022``: it starts with the first author and year."""
    named = re.match(r"([A-Z][\w ]*?)(?: and [\w ]+| et al\.)? (\d{4})\b", source)
    if named is None:
        return None
    start = named[1].replace(" ", "").lower() + named[2]
    # The texts name Li et al. 2018 for L2-SP alone; Hyperband is cited with the pruner.
    start = start.replace("li2018", "li2018l2sp")
    return next((key for key in _entries() if key.startswith(start)), None)


def keys(text: str) -> set[str]:
    """The keys of the works that a LaTeX text cites."""
    return {key for group in re.findall(r"\\citep\{([^}]*)\}", text) for key in group.split(",")}


def references(text: str) -> str:
    """references.bib: the entries of every work that a text cites, in the order of their keys."""
    return "\n".join(_entries()[key] for key in sorted(keys(text)))


@cache
def _entries() -> Mapping[str, str]:
    entries = re.split(r"\n(?=@)", _FILE.read_text(encoding="utf-8"))
    return {
        entry[entry.index("{") + 1 : entry.index(",")]: f"{entry.strip()}\n" for entry in entries
    }
