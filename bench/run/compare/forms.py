"""A comparison as text for a terminal, Markdown for a pull request, JSON, and JUnit's XML for test reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from bench.records import as_json_dict
from bench.run.compare.finding import Comparison, Finding
from bench.run.compare.gate import kind_of

HEADS = (
    "",
    "before",
    "after",
    "change",
    "interval",
    "p (Holm)",
    "margin",
    "verdict",
    "smallest shown",
    "would decide it",
)
NOTHING_DIFFERS = "nothing differs in how they were measured"


def terminal(comparisons: Sequence[Comparison], *, gated: bool) -> str:
    """Return plain text, the answer last."""
    return _text(comparisons, "simple", gated=gated)


def markdown(comparisons: Sequence[Comparison], *, gated: bool) -> str:
    """Return Markdown, the answer first: what a reviewer reads."""
    text = _text(comparisons, "pipe", gated=gated)
    return f"**{_cell(answer(comparisons, gated=gated))}**\n\n{text}"


def as_json(comparisons: Sequence[Comparison], *, gated: bool) -> str:
    """Return everything, for machines."""
    content = {
        "answer": answer(comparisons, gated=gated),
        "regressed": any(one.regressions for one in comparisons),
        "comparisons": [as_json_dict(one) for one in comparisons],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def junit(comparisons: Sequence[Comparison], *, gated: bool) -> str:
    """Return JUnit's XML: a test for each number, failed where the gate does, skipped where nothing could be told."""
    del gated
    suites = ElementTree.Element("testsuites", name="bench compare")
    for comparison in comparisons:
        findings = comparison.findings
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=_legal(f"{comparison.other} against {comparison.reference}"),
            tests=str(len(findings)),
            failures=str(len(comparison.regressions)),
            errors="0",
            skipped=str(sum(one.verdict in ("not compared", "undecided") for one in findings)),
        )
        for one in findings:
            name = f"{one.quantity} {one.scope}".strip()
            case = ElementTree.SubElement(suite, "testcase", classname=_legal(one.case), name=_legal(name))
            if one.regressed:
                ElementTree.SubElement(case, "failure", message=_legal(sentence(one))).text = _legal(sentence(one))
            elif one.verdict in ("not compared", "undecided"):
                ElementTree.SubElement(case, "skipped", message=_legal(one.why or f"undecided; {one.needed}"))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


FORMS: dict[str, Callable[..., str]] = {"terminal": terminal, "markdown": markdown, "json": as_json, "junit": junit}


def answer(comparisons: Sequence[Comparison], *, gated: bool) -> str:
    """Return the sentence that answers the question."""
    findings = [one for comparison in comparisons for one in comparison.findings]
    regressions = [one for one in findings if one.regressed]
    if regressions:
        more = f" and {len(regressions) - 1} more" if len(regressions) > 1 else ""
        return f"The gate fails: {sentence(regressions[0])}{more}"
    counts = {verdict: sum(one.verdict == verdict for one in findings) for verdict in ("worse", "better", "same")}
    open_ = sum(one.verdict == "undecided" for one in findings)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "no number is decided"
    rest = f"{told}{f', {open_} undecided' if open_ else ''} of {len(findings)}"
    if not findings:
        return "Nothing could be compared: the sides share no case"
    return f"The gate passes: {rest}" if gated else rest.capitalize()


def sentence(one: Finding) -> str:
    """Return what was found of one number, in words."""
    what = f"{one.quantity}{f' of {one.scope}' if one.scope else ''} of {one.case}"
    if one.change is None or one.p_holm is None:
        return f"{what}: {one.why or one.verdict}"
    return (
        f"{what} is {one.verdict}: {change(one, one.change)} ({change(one, one.low)} to {change(one, one.high)}, "
        f"p {one.p_holm:.2g}), margin ±{change(one, one.margin).lstrip('+')}"
    )


def change(one: Finding, value: float | None) -> str:
    """Return a change as a reader says it: points of a score, per cent of the rest."""
    if value is None:
        return "–"
    if kind_of(one.quantity) != "score":
        return f"{100 * value:+.1f} %" if abs(value) < 100 else "> 100 ×"
    return f"{value:+.3g} {one.unit}" if one.unit else f"{100 * value:+.2f} pt"


def _text(comparisons: Sequence[Comparison], form: str, *, gated: bool) -> str:
    from tabulate import tabulate

    heading, parts = "### " if form == "pipe" else "", []
    for comparison in comparisons:
        parts.append(f"{heading}{_cell(comparison.other)} against {_cell(comparison.reference)}")
        differs = [f"- {_cell(line)}" for line in comparison.differences] or [f"- {NOTHING_DIFFERS}"]
        parts.append(
            "\n".join(["How they differ:", "", *differs] if form == "pipe" else ["how they differ:", *differs])
        )
        for case in dict.fromkeys(one.case for one in comparison.findings):
            rows = [_row(one) for one in comparison.findings if one.case == case]
            used = [k for k in range(len(HEADS)) if k == 0 or any(row[k] for row in rows)]
            table = [[row[k] for k in used] for row in rows]
            heads = [HEADS[k] for k in used]
            parts.append(f"{_cell(case)}\n\n" + tabulate(table, headers=heads, tablefmt=form, disable_numparse=True))
        if comparison.only_in_one:
            parts.append("only on one side: " + ", ".join(map(_cell, comparison.only_in_one)))
    parts.append(
        "Change: after − before (scores, in points of 100) or after / before − 1. All numbers are one family: p after "
        "Holm's correction, intervals as wide as it asks for. same: within ± the margin; smallest shown: what 9 of 10 "
        "such comparisons would find."
    )
    if form != "pipe":
        parts.append(_cell(answer(comparisons, gated=gated)))
    return "\n\n".join(parts) + "\n"


def _row(one: Finding) -> list[str]:
    interval = f"{change(one, one.low)} to {change(one, one.high)}" if one.low is not None else ""
    return [
        _cell(f"{one.quantity} {one.scope}".strip()),
        _value(one, one.before),
        _value(one, one.after),
        change(one, one.change) if one.change is not None else "",
        interval,
        "" if one.p_holm is None else "< 0.0001" if one.p_holm < 1e-4 else f"{one.p_holm:.4f}",
        change(one, one.margin).replace("+", "± ") + ("" if one.gated else " (usual)"),
        ("**REGRESSED**" if one.regressed else one.verdict) + (f": {_cell(one.why)}" if one.why else ""),
        change(one, one.smallest) if one.smallest is not None else "",
        one.needed,
    ]


def _value(one: Finding, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if kind_of(one.quantity) == "score" and not one.unit else f"{value:.3g} {one.unit}".strip()


def _cell(text: str) -> str:
    """Return the text on one line, without what Markdown, HTML or a terminal would take for markup."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line.replace("|", r"\|").replace("<", "&lt;") if any(c in line for c in "|<") else line


def _legal(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or c >= " " else "\ufffd" for c in text)
