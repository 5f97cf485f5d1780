"""Figures and tables of a folder: every scan has its line, and nobody is hidden."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from organ_scans import organ, write_organs, write_oriented

from ssl_lib import figures
from ssl_lib.data.fingerprint import Finding, take_fingerprint
from ssl_lib.notebook.files import read_cells
from ssl_lib.notebook.fingerprint_tables import findings_table
from ssl_lib.notebook.source import NOTEBOOKS_DIR


def test_every_usable_scan_has_its_line_and_mistakes_are_marked(tmp_path):
    folder = write_organs(tmp_path)
    (folder / "imagesTr" / "a00.nii.gz").write_bytes(b"")
    write_oriented(folder / "imagesTr" / "u00.nii.gz", organ(50)[0], spacing=(3.0, 1.5, 2.0))
    found = take_fingerprint(folder)
    greys, sizes = figures.folder_overview(found).axes
    names = [text.get_text() for text in greys.get_yticklabels()]
    assert names == [*(f"a0{n}" for n in range(1, 7)), "▸ u00", "u01"]
    assert len(greys.lines) == 3 * len(found.properties)
    for line, axis in zip(sizes.lines, range(3), strict=True):
        expected = [found.properties[name.removeprefix("▸ ")].spacing[axis] for name in names]
        assert line.get_xdata().tolist() == expected


def test_findings_share_a_line_and_the_gravest_come_first():
    findings = [
        Finding("note", "folder", "a note"),
        *(Finding("excluded", f"imagesTr/{n}.nii.gz", "is <empty>") for n in range(9)),
    ]
    html = findings_table(findings).data
    assert html.count("<tr>") == 3 and html.index("excluded") < html.index("a note")
    assert "and 3 more" in html and "is &lt;empty&gt;" in html
    assert "Nothing to report" in findings_table([]).data


@pytest.mark.parametrize(("shape", "shown"), [((1, 8, 9), 0), ((6, 8, 9), 2)])
def test_only_scans_of_several_slices_are_shown_in_3d(shape, shown):
    cells = read_cells(NOTEBOOKS_DIR / "06_your_own_scans.py")
    (cell,) = [one.source for one in cells if "interactive.surface(" in one.source]
    assert not any("in 3D.**" in one.source for one in cells if one.cell_type == "markdown")
    case, said = SimpleNamespace(case_id="a", image=np.zeros(shape)), []
    maps = {row: {"a": "label map"} for row in ("supervised_strong", "bcp")}
    names = {
        "tested": SimpleNamespace(cases=[case], predicted=maps, truths={"a": "truth"}),
        "interactive": SimpleNamespace(surface=lambda *parts, alt: said.append(parts[1])),
        "display": said.append,
        "Markdown": str,
        "cohort": None,
        "best": "bcp",
    }
    exec(cell, names)
    assert len(said) == shown and said[1:] == [case] * (shown > 0)
