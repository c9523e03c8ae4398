"""The files for a paper: they say what report.json says, and LaTeX takes whatever names hold."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support import confirmed, pages
from tests.support.searched import respelled
from workbench import report
from workbench.report import templates, tidy, writing
from workbench.report.content import Summary
from workbench.report.methods import METHODS
from workbench.report.paper import bibliography, booktabs, macros, tables, typeset, verdict_tables
from workbench.report.paper import files as paper
from workbench.tracker.stored_study import CitedValue
from workbench.verdict.wording import numbers

THREE = confirmed.THREE
HOSTILE = {
    "sgd-0": 'a_b%&#$ {x}~^\\y "q" <z>|`',
    "adam-0": "Größe-naïve-Łódź",
    "adamw-0": "x" * 90 + "_" + "very_long-name/with.many_parts-" * 3,
    "default": "全量微调 й 🙂 \u200b α→∞",
}

needs_tex = pytest.mark.skipif(
    shutil.which("pdflatex") is None or shutil.which("bibtex") is None,
    reason="pdflatex and bibtex are not installed",
)


def summary(**knobs: Any) -> Summary:
    return report.compose(confirmed.material(**knobs)).summary


@pytest.fixture(scope="module")
def three() -> Summary:
    """Three strategies and the default, confirmed."""
    return summary(strategies=THREE, scored=False)


@pytest.fixture(scope="module")
def searched() -> Summary:
    """A search alone."""
    material = confirmed.material(strategies=THREE, scored=False)
    study = replace(material.study, protocol=None, selection=None)
    study = replace(study, protocol_sha256=None, protocol_logged=None)
    trials = tuple(run for run in material.trials if run.role == "search")
    return report.compose(report.Material(study=study, trials=trials)).summary


def renamed(content: Summary, names: Mapping[str, str]) -> Summary:
    """The same with other names of strategies."""
    found = respelled(content, lambda text: names.get(text, text))
    assert isinstance(found, Summary)
    return found


@pytest.fixture(scope="module")
def hostile(three: Summary) -> Summary:
    """The same study with names that are an attack on LaTeX."""
    label = HOSTILE["sgd-0"]
    found = renamed(three, HOSTILE)
    first, *middle, last = three.search_space
    attack = (label + " ") * 9 + "0123456789" * 9
    return replace(
        found,
        study=f"été_{label} 全",
        question=label,
        factors={label: (label,)},
        objective=replace(found.objective, metric=f"validation/{label}"),
        search_space=[
            first | {"knob": label * 3, "when": {label: [label]}},
            *middle,
            last | {"choices": [label, label]},
        ],
        health=(replace(found.health[0], name=label, finding=attack), *found.health[1:]),
        cited=(
            CitedValue(name="Müller & Søn", value=0.951, sd=0.003, n=5, source="50% #1_x"),
            CitedValue(name=label, value=0.9, source=label),
        ),
        figures=tuple(replace(figure, caption=figure.caption + label) for figure in found.figures),
    )


def cells(text: str) -> list[list[str]]:
    """Rows of a table, without what LaTeX does to a cell."""
    rows = []
    for line in text.splitlines():
        if line.endswith(r"\tabularnewline"):
            plain = re.sub(r"\\(allowbreak\{\}|tabularnewline)", "", line)
            plain = re.sub(
                r"\\(textbf|underline|ensuremath|textsuperscript)\{([^}]*)\}", r"\2", plain
            )
            rows.append([cell.strip() for cell in plain.split(" & ")])
    return rows


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def compiled(folder: Path, *, bibliography: bool = True) -> str:
    """The log of the last run of LaTeX over example.tex, which must not stop."""
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "example"]
    steps = [latex, ["bibtex", "example"], latex, latex] if bibliography else [latex, latex]
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, timeout=60, check=False)
        told = done.stdout.decode("latin-1")
        assert done.returncode == 0, told[-3000:]
    return (folder / "example.log").read_text(encoding="latin-1")


def wide_boxes(log: str) -> list[float]:
    return [float(found) for found in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]


# What the tables say


def test_the_main_table_has_the_numbers_of_the_report(three: Summary) -> None:
    rows = cells(paper.files(three, venue="neurips")["tables/confirmation.tex"])
    arms = three.content["confirmation"]["arms"]
    assert len(rows) == len(arms) == 4
    for row, arm in zip(rows, arms, strict=True):
        assert row[0] == arm["name"] + ("b" if arm["baseline"] else "")
        assert row[1] == str(arm["n"])
        assert row[2] == rf"{arm['mean']:.4f} $\pm$ {arm['sd']:.4f}"
        assert row[3] == f"[{arm['low']:.4f}, {arm['high']:.4f}]"
        if (versus := arm["versus"]) is None:
            assert row[4:6] == ["--", "--"]
        else:
            interval = f"[{versus['low']:.4f}, {versus['high']:.4f}]"
            assert row[4] == f"{versus['difference']:+.4f} {interval}"
            assert row[5] == numbers.ahead_on(versus["leads"])
        behind = math.ceil(1e4 * arm["behind"]) / 1e4
        assert row[6:] == [templates.bare_p(arm["p_best"]), f"{behind:.4f}"], "still a bound"
    default = next(arm for arm in arms if arm["baseline"])
    told = f"Baseline: {default['strategy']} with default values, not tuned."
    assert told in verdict_tables.main(three, "neurips")


def test_a_difference_has_the_sign_of_the_metric_where_lower_is_better(
    three: Summary,
) -> None:
    external = replace(three, confirmation=None, external=True)
    lower = replace(external, verdict=replace(three.verdict, direction="minimize"))
    higher = cells(verdict_tables.main(external, "neurips"))
    turned = cells(verdict_tables.main(lower, "neurips"))
    for one, other in zip(higher[1:], turned[1:], strict=True):
        (ours, theirs) = (float(row[4].partition(" ")[0]) for row in (one, other))
        assert ours == -theirs != 0
    assert "to be minimised" in verdict_tables.main(lower, "neurips")


def test_bold_and_underlined_means_are_those_of_the_report_and_the_rule_is_stated(
    three: Summary,
) -> None:
    text = verdict_tables.main(three, "neurips")
    arms = three.content["confirmation"]["arms"]
    bold = [f"{arm['mean']:.4f}" for arm in arms if arm["best"]]
    underlined = [f"{arm['mean']:.4f}" for arm in arms if arm["may_be_best"]]
    assert re.findall(r"\\textbf\{([^}]*)\}", text) == bold
    assert re.findall(r"\\underline\{([^}]*)\}", text) == underlined
    assert typeset.text(three.content["emphasis"]) in text
    without = replace(three, emphasis=None)
    assert not re.search(r"\\(textbf|underline)", verdict_tables.main(without, "neurips"))


def test_cited_values_stand_below_a_rule_and_are_never_compared(three: Summary) -> None:
    item = CitedValue(name="Smith", value=0.97, sd=0.002, n=3, source="Smith et al. 2020")
    text = verdict_tables.main(replace(three, cited=(item,)), "neurips")
    last = cells(text)[-1]
    assert last == ["Smithc", "3", r"0.9700 $\pm$ 0.0020", *["--"] * 5]
    assert text.index(r"\midrule", text.index("default")) < text.index("Smith\\text")
    assert "Smith et al. 2020" in text and "not run here" in text


def test_levels_of_a_factor_stand_below_the_strategies() -> None:
    content = summary(strategies=confirmed.STRATEGIES, contrast="optimizer", scored=False)
    text = verdict_tables.main(content, "neurips")
    rows = cells(text)
    assert [row[0] for row in rows[-3:]] == [side.name for side in content.verdict.sides]
    compared = [row for row in rows if row[4] != "--"]
    assert len(compared) == 2 and "each level of optimizer" in text


def test_every_comparison_has_a_row() -> None:
    scored = summary(strategies=THREE)
    rows = cells(verdict_tables.pairwise(scored, "neurips"))
    pairs = scored.content["verdict"]["comparisons"]
    assert len(rows) == len(pairs) == 6
    for row, pair in zip(rows, pairs, strict=True):
        assert row[:2] == [pair["first"], pair["second"]]
        assert row[2] == f"{pair['difference']['estimate']:.4f}"
        assert row[4] == numbers.ahead_on(pair["differences"])
        assert row[5] == templates.bare_p(pair["p_holm"])
        assert row[7] == templates.bare_p(pair["p_equivalence"])
        assert row[8] == f"[{pair['beyond']['low']:.4f}, {pair['beyond']['high']:.4f}]"


def test_of_very_many_comparisons_a_paper_prints_those_of_the_leader(
    three: Summary,
) -> None:
    pairs = [*three.verdict.comparisons] * 30
    many = replace(three, verdict=replace(three.verdict, comparisons=pairs))
    text = verdict_tables.pairwise(many, "neurips")
    leader = many.verdict.leader
    assert all(leader in row[:2] for row in cells(text))
    assert "data/pairs.csv" in text


def test_an_unfinished_confirmation_writes_no_test_value_anywhere() -> None:
    content = summary(strategies=THREE, ended=3, scored=False)
    files = paper.files(content, venue="neurips")
    assert "tables/selection.tex" in files
    assert not {"tables/confirmation.tex", "tables/pairwise.tex", "tables/cost.tex"} & files.keys()
    assert "Mean}" not in files["macros.tex"]
    assert "no confirmation" in files["checklist.md"] or "unfinished" in files["checklist.md"]


def test_a_search_alone_has_no_word_of_a_claim(searched: Summary) -> None:
    files = paper.files(searched, venue="neurips")
    assert set(files) >= {"tables/strategies.tex", "tables/search_space.tex", "tables/checks.tex"}
    for name, text in files.items():
        forbidden = ("wins", "winner", "better", "significant", "outperform")
        if name != "references.bib":  # titles of works
            assert [word for word in forbidden if word in text.lower()] == [], name
    assert r"\digitsVerdict}{EXPLORATORY}" in files["macros.tex"]


# Macros


def test_the_table_of_checks_says_what_was_asked(three: Summary) -> None:
    written = tables.checks(three, "neurips")
    for check in three.content["health"]:
        asked = typeset.prose(f"{check['question']} {check['finding']}")
        assert check["question"].endswith("?") and asked in written


def commands(text: str) -> dict[str, str]:
    found = re.findall(r"\\renewcommand\{\\([^}]*)\}\{(.*)\}% ", text)
    assert len(found) == len(dict(found)) == text.count(r"\renewcommand")
    return dict(found)


def test_every_number_has_a_command_of_its_own(three: Summary) -> None:
    found = commands(macros.macros(three))
    assert all(re.fullmatch("[A-Za-z]+", name) for name in found)
    for arm in three.content["confirmation"]["arms"]:
        start = "digits" + typeset.letters(arm["name"])
        assert found[f"{start}Mean"] == f"{arm['mean']:.4f}"
        assert found[f"{start}SD"] == f"{arm['sd']:.4f}"
        assert (found[f"{start}Low"], found[f"{start}High"]) == (
            f"{arm['low']:.4f}",
            f"{arm['high']:.4f}",
        )
        assert found[f"{start}N"] == str(arm["n"])
    pair = three.content["verdict"]["comparisons"][0]
    first, second = (typeset.letters(pair[key]) for key in ("first", "second"))
    there, back = (
        found[f"digits{a}Vs{b}Difference"] for a, b in ((first, second), (second, first))
    )
    assert there == f"{pair['difference']['estimate']:.4f}"
    assert back == rf"\ensuremath{{-}}{there}"
    assert found[f"digits{first}Vs{second}P"] == found[f"digits{second}Vs{first}P"]
    assert found["digitsVerdict"] == three.content["verdict"]["word"]


def test_names_that_become_the_same_letters_get_letters_appended() -> None:
    taken: set[str] = set()
    given = [macros.unique(typeset.letters(name), taken) for name in ("a-b", "a_b", "a b", "A.B")]
    assert given == ["AB", "ABA", "ABB", "ABC"]
    assert typeset.letters("adamw-2") == "AdamwTwo"
    assert typeset.letters("2024é全") == "TwoZeroTwoFourEFiveOneSixEight"
    assert typeset.letters("-") == "Unnamed"


def test_a_command_keeps_its_name_when_the_results_change(three: Summary) -> None:
    names = {"sgd-0": "a-b", "adam-0": "a_b", "adamw-0": "a.b"}
    content = renamed(three, names)
    assert content.confirmation is not None
    turned = replace(
        content,
        confirmation=replace(content.confirmation, arms=content.confirmation.arms[::-1]),
        verdict=replace(content.verdict, sides=content.verdict.sides[::-1]),
    )
    assert commands(macros.macros(content)) == commands(macros.macros(turned))


# Text


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("100% & #1 $x_y$", r"100\% \& \#1 \$x\_y\$"),
        ("a{b}~^\\", r"a\{b\}\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("Größe, naïve, Łódź", r"Gr\"{o}\ss{}e, na\"{i}ve, \L{}\'{o}d\'{z}"),
        ("α→λ", r"\ensuremath{\alpha}\ensuremath{\to}\ensuremath{\lambda}"),
        ("全", "(U+5168)"),
        ("й", "(U+0439)"),
        ("a--b ''", "a-{}-b '{}'"),
        ("a\u200bb\x07\nc", "ab c"),
        ("ﬁ Ａ", "fi A"),
    ],
)
def test_text_is_printed_as_it_is_in_ascii(given: str, written: str) -> None:
    assert typeset.text(given) == written
    assert written.isascii()


def test_two_names_of_another_script_stay_two_names() -> None:
    assert len({typeset.text(name) for name in ("全量", "微调", "全", "量", "?")}) == 5


def test_a_column_of_numbers_has_equal_decimals() -> None:
    assert typeset.number(0.9432) == "0.9432"
    assert typeset.number(-0.5, 12.0) == r"\ensuremath{-}0.50"
    assert typeset.number(1.5e9) == r"\ensuremath{1.500\cdot 10^{9}}"
    assert typeset.number(None) == "--"


def test_a_small_number_is_written_as_the_page_writes_it() -> None:
    minus = r"\ensuremath{-}"
    assert templates.signed(-0.00001, 0.9, -0.00002, 0.003) == "−0.00001"
    assert typeset.number(-0.00001, 0.9, -0.00002, 0.003) == f"{minus}0.00001"
    assert typeset.number(-0.00001, 0.9) == f"{minus}0.00001"
    assert typeset.number(0.00001, 0.9, 0.003, signed=True) == "0.0000"
    assert templates.interval(-0.00001, 0.003, 0.9) == "[−0.00001, 0.00300]"
    assert typeset.span(-0.00001, 0.003, 0.9) == f"[{minus}0.00001, 0.00300]"
    assert typeset.span(-2e9, 1e-5, 1e9) == (
        rf"[{minus}\ensuremath{{2.000\cdot 10^{{9}}}}, \ensuremath{{1.000\cdot 10^{{-5}}}}]"
    )


# Methods, references, captions, checklist


def test_every_work_that_is_cited_has_an_entry(three: Summary) -> None:
    files = paper.files(three, venue="neurips")
    entries = set(re.findall(r"^@\w+\{([^,]+),", files["references.bib"], re.M))
    assert bibliography.keys(files["methods.tex"]) == entries
    assert {"holm1979simple", "akiba2019optuna", "schuirmann1987comparison"} <= entries
    assert not re.search(r"\[\w[^\]]* \d{4}", files["methods.tex"])  # no source is left as text


def test_a_search_alone_cites_no_test(searched: Summary) -> None:
    keys = bibliography.keys(paper.files(searched, venue="neurips")["methods.tex"])
    assert "akiba2019optuna" in keys
    assert not {"holm1979simple", "schuirmann1987comparison"} & keys


def test_every_entry_of_the_bibliography_can_be_cited() -> None:
    text = Path(bibliography.__file__).read_text(encoding="utf-8")
    entries = bibliography._entries()
    folder = Path(templates.__file__).parent
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.txt")]
    brackets = [f"[{method.source}]" for method in METHODS if method.source]
    for found in re.findall(r"\[[^\[\]]*\]", " ".join(" ".join(texts).split())):
        brackets.append(found)
    cited = {
        key
        for given in brackets
        for key in bibliography.keys(re.sub(r"\[([^\[\]]*)\]", bibliography._cite, given))
    }
    assert [key for key in entries if f'"{key}"' not in text and key not in cited] == []
    assert cited <= entries.keys()
    assert list(entries) == sorted(entries)
    for entry in entries.values():
        assert re.search(r"author\s*= \{", entry) and re.search(r"year\s*= \{\d{4}\}", entry)
        assert entry.count("{") == entry.count("}")


def test_sources_of_all_methods_are_known() -> None:
    for method in METHODS:
        if method.source:
            written = bibliography._cite(
                re.match(r"\[(.*)\]", f"[{method.source}]") or pytest.fail()
            )
            assert written.startswith(r"~\citep{"), method.source


def test_every_figure_has_a_caption_command(three: Summary) -> None:
    files = paper.files(three, venue="neurips")
    for figure in three.content["figures"]:
        command = "caption" + typeset.letters(figure["name"])
        assert (
            rf"\renewcommand{{\{command}}}{{{typeset.prose(figure['caption'])}}}"
            in (files["captions.tex"])
        )
        assert rf"\caption{{\{command}}}" in files["example.tex"]


def test_the_checklist_answers_from_the_logs_and_says_todo_for_the_rest(
    three: Summary,
) -> None:
    text = templates.checklist(three.content, confirmed=three.shows_tests)
    for known in ("12 seeds", "496 test samples", "148fd37c0ffee", "torch 2.15.0", "6 pairs"):
        assert known in text, known
    assert "TODO: addresses of code and data" in text
    bare = replace(three, provenance={**three.provenance, "code": None})
    assert "TODO, no commit was recorded" in templates.checklist(
        bare.content, confirmed=bare.shows_tests
    )


def test_an_unknown_venue_is_refused_with_those_there_are(three: Summary) -> None:
    with pytest.raises(ValueError, match=r"'nips'.*neurips, icml"):
        paper.files(three, venue="nips")


# Layout


def test_a_table_too_wide_for_a_column_spans_the_page() -> None:
    columns = {"name": "p", **dict.fromkeys([f"c{n}" for n in range(6)], "r")}
    rows = [["n", *["0.1234 0.1234"] * 6]]

    def made(venue: str) -> str:
        return booktabs.table(
            label="tab:x", caption="c", columns=columns, rows=rows, venue=venue, about="x"
        )

    assert r"\begin{table}" in made("neurips")
    assert r"\begin{table*}" in made("icml") and "% Wider than one column" in made("icml")


def test_a_table_longer_than_a_page_goes_on_under_the_same_number() -> None:
    rows = [[f"strategy {n}", "1"] for n in range(100)]
    text = booktabs.table(
        label="tab:x",
        caption="c",
        columns={"name": "p", "n": "r"},
        rows=rows,
        venue="neurips",
        about="x",
    )
    assert text.count(r"\begin{table}") == 3
    assert text.count(r"\addtocounter{table}{-1}") == 2
    assert text.count(r"\label{") == 1
    assert [row[0] for row in cells(text)] == [row[0] for row in rows]


# LaTeX itself


@needs_tex
@pytest.mark.parametrize("venue", ["neurips", "acl"])
def test_hostile_names_compile_and_fit_the_column(
    hostile: Summary, venue: str, tmp_path: Path
) -> None:
    files = paper.files(hostile, venue=venue)
    for name, text in files.items():
        if name.endswith(".tex") and name != "macros.tex":
            code = "\n".join(re.sub(r"(?<!\\)%.*", "", line) for line in text.splitlines())
            assert code.isascii(), name
    write(tmp_path, files)
    # Figures are drawn elsewhere; their place and captions are what is tried here.
    (tmp_path / "example.tex").write_text(
        re.sub(r"\\includegraphics.*", r"\\rule{2cm}{1cm}", files["example.tex"]),
        encoding="utf-8",
    )
    log = compiled(tmp_path)
    assert "undefined" not in log and "multiply defined" not in log
    assert max(wide_boxes(log), default=0) < 10  # points; a word of 10 letters is 45


@needs_tex
def test_macros_may_be_read_twice_and_used_in_text_and_mathematics(
    three: Summary, tmp_path: Path
) -> None:
    found = macros.macros(three)
    used = "\n".join(
        rf"\{name} " + ("" if re.search("[a-z]{4}", value) else rf"$\{name}$")
        for name, value in commands(found).items()
    )
    body = rf"\documentclass{{article}}\input{{macros}}\input{{macros}}\begin{{document}}{used}"
    write(tmp_path, {"macros.tex": found, "example.tex": body + r"\end{document}"})
    compiled(tmp_path, bibliography=False)


@needs_tex
@pytest.mark.skipif(shutil.which("pdffonts") is None, reason="pdffonts is not installed")
def test_a_whole_report_compiles_with_fonts_that_venues_take(tmp_path: Path) -> None:
    material = confirmed.material(strategies=THREE)
    folder = tmp_path / "digits"
    writing.write(report.compose(material), folder)
    log = compiled(folder)
    assert "undefined" not in log
    assert wide_boxes(log) == []
    told = subprocess.run(
        ["pdffonts", "example.pdf"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    kinds = told.splitlines()[2:]
    assert kinds and all("Type 1" in line or "TrueType" in line for line in kinds), told
    assert all(re.search(r"yes (yes|no) +(yes|no)", line) for line in kinds)  # embedded


# Tidy data


@pytest.fixture(scope="module")
def data(three: Summary) -> dict[str, tidy.Rows]:
    return tidy.tables(confirmed.material(strategies=THREE, scored=False), three)


def test_data_hold_a_row_for_every_run(data: dict[str, tidy.Rows], three: Summary) -> None:
    arms = three.content["confirmation"]["arms"]
    runs = pd.DataFrame(data["confirmation"])
    assert len(runs) == sum(len(arm["runs"]) for arm in arms) == 48
    for arm in arms:
        own = runs[runs["arm"] == arm["name"]]
        assert own["counted"].mean() == pytest.approx(arm["mean"])
        assert own["run_id"].is_unique
    assert len(data["trials"]) == three.content["progress"]["started"]
    selected = three.content["confirmation"]["selection"]
    assert len(data["selection"]) == sum(len(item["values"]) for item in selected)
    assert [row["p_holm"] for row in data["pairs"]] == [
        p["p_holm"] for p in three.content["verdict"]["comparisons"]
    ]


def test_data_of_the_same_rows_have_the_same_bytes_and_read_back_alike(
    data: dict[str, tidy.Rows], tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        tidy.write(data, tmp_path / folder)
    assert pages.files(tmp_path / "a") == pages.files(tmp_path / "b")
    for name, rows in data.items():
        csv = pd.read_csv(tmp_path / f"a/{name}.csv")
        parquet = pd.read_parquet(tmp_path / f"a/{name}.parquet")
        assert list(csv.columns) == list(parquet.columns)
        assert len(csv) == len(parquet) == len(rows)
        for column in parquet.select_dtypes("float").columns:
            assert csv[column].astype(float).equals(parquet[column]), column


def test_a_column_of_numbers_and_words_is_text_in_parquet(tmp_path: Path) -> None:
    rows: tidy.Rows = [
        {"depth": 2, "n": 1, "x": {"a": 1}},
        {"depth": "all", "n": None, "x": float("nan")},
    ]
    tidy.write({"x": rows}, tmp_path)
    found = pd.read_parquet(tmp_path / "x.parquet")
    assert list(found["depth"]) == ["2", "all"]
    assert found["n"].isna().tolist() == [False, True]
    assert (tmp_path / "x.csv").read_text().splitlines()[1] == "2,1,{'a': 1}"


def test_a_spreadsheet_runs_no_name_as_a_formula(tmp_path: Path) -> None:
    tidy.write({"x": [{"name": "=cmd()", "value": -0.5}]}, tmp_path)
    assert (tmp_path / "x.csv").read_text() == "name,value\n'=cmd(),-0.5\n"


def test_a_table_without_rows_keeps_its_header(tmp_path: Path) -> None:
    tidy.write({"pairs": []}, tmp_path)
    header = "first,second,n,difference,p_holm,improvement"
    assert (tmp_path / "pairs.csv").read_text() == f"{header}\n"
    assert list(pd.read_parquet(tmp_path / "pairs.parquet").columns) == header.split(",")
