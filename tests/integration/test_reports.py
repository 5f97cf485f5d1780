from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from ssl_lib.config import PROFILES
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.results import build_result, result_path, write_result
from ssl_lib.figures import style
from ssl_lib.methods import row_name
from ssl_lib.notebook.source import paired, sync
from ssl_lib.reports import __main__ as command
from ssl_lib.reports import index, offline, outcome, plan, run, thumbnail
from ssl_lib.reports.card import _seed_facts, duration, run_facts
from ssl_lib.reports.markdown import Markdown
from ssl_lib.reports.mathml import FormulaError, formula_html, to_mathml
from ssl_lib.reports.outputs import last_writes, outputs_html
from ssl_lib.reports.render import PageData, read_page_data, unbroken, write_page
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import safe_name

ROOT = Path(__file__).resolve().parents[2]

PARAMETERS = """\
# %% [markdown]
# # The {name} notebook

# %% tags=["parameters"]
DATASET = "phantom"  # data
PROFILE = "quick"  # budget
N_LABELLED = 4  # scans with a label
SEED = 0  # random numbers

"""
GOOD = """\
# %%
import os
from pathlib import Path

runs = Path("runs.txt")
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
print(f"seed {SEED}, static {os.environ['SSL_STATIC']}, in {Path.cwd()}")
"""
SCRIPTS = {
    "00_good": GOOD,
    "01_error": '# %%\nprint("before")\n\n# %%\n{}["<b>no such key</b>"]\n\n# %%\nprint("after")\n',
    "02_killed": '# %%\nprint("before")\n\n# %%\nimport os\nos._exit(1)\n\n# %%\nprint("after")\n',
    "03_sleeps": '# %%\nprint("before")\n\n# %%\nimport time\ntime.sleep(600)\n',
}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def make_project(root: Path, names: list[str]) -> Path:
    (root / "notebooks").mkdir(parents=True)
    for name in names:
        script = root / "notebooks" / f"{name}.py"
        script.write_text(PARAMETERS.format(name=name) + SCRIPTS[name])
    return root


def report(root: Path, *arguments: str) -> int:
    return command.main(["--root", str(root), *arguments])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", ["00_good"])


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A project whose notebooks fail in three ways, run once; and the exit code of that run."""
    root = make_project(tmp_path_factory.mktemp("failing"), list(SCRIPTS))
    return root, report(root, "--timeout", "4")


def page_of(root: Path, name: str) -> str:
    return (root / "reports" / name / "phantom-quick-n4.html").read_text()


# --- what is refused before any kernel starts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--notebooks", "00_gud"], "did you mean 00_good?"),
        (["--profile", "quik"], "expected: smoke, quick, evening, gpu, paper_equal, paper"),
        (["--seeds", "0 one"], "whole numbers"),
        (["--datasets", "phantoms"], "phantom_3d"),
        (["--datasets", "phantom", "--profile", "paper"], "la2018"),
        (["--n-labelled", "100000"], "labelled"),
    ],
)
def test_a_bad_request_is_one_message_and_exit_code_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert report(project, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and message in printed.err
    assert printed.out == "" and "Traceback" not in printed.err
    assert not (project / "build").exists()


def test_a_number_names_one_notebook_and_the_beginning_of_a_name_all_that_have_it(tmp_path):
    names = ("00_first", "00b_second", "01_third")
    for name in names:
        (tmp_path / f"{name}.py").touch()
    for wanted, found in (("00", names[:1]), ("00b", names[1:2]), ("0", names), ("01_", names[2:])):
        assert [path.stem for path in plan.find_notebooks([wanted], tmp_path)] == list(found)


def test_a_parameter_of_another_type_is_refused(project: Path) -> None:
    script = project / "notebooks" / "00_good.py"
    script.write_text(script.read_text().replace("SEED = 0", 'SEED = "none"'))
    with pytest.raises(InputError, match="SEED was given 3"):
        plan.plan(plan.Request(seeds=(3,)), plan.Folders(project))


# --- the plan


def test_every_combination_is_planned_and_only_known_parameters_are_passed(project: Path) -> None:
    request = plan.Request(n_labelled=(2, 4), seeds=(0, 1), profile="smoke", data_dir="elsewhere")
    jobs = plan.plan(request, plan.Folders(project))
    assert [job.run_name for job in jobs] == [
        f"phantom-smoke-n{n}-seed{seed}" for n in (2, 4) for seed in (0, 1)
    ]
    assert dict(jobs[3].parameters) == {
        "DATASET": "phantom",
        "PROFILE": "smoke",
        "N_LABELLED": 4,
        "SEED": 1,
    }


def test_another_draw_of_the_labelled_scans_has_a_page_and_a_result_of_its_own(
    project: Path,
) -> None:
    script = project / "notebooks" / "00_good.py"
    with_draw = script.read_text().replace("SEED = 0", "LABELLED_DRAW = 0  # which\nSEED = 0")
    folders, request = plan.Folders(project), plan.Request(draws=(0, 2))
    (unknown,) = plan.plan(request, folders)  # the notebook knows no draw: it runs once
    assert unknown.draw == 0 and "LABELLED_DRAW" not in dict(unknown.parameters)
    script.write_text(with_draw)
    own, other = plan.plan(request, folders)
    assert (own.run_name, other.run_name) == (
        "phantom-quick-n4-seed0",
        "phantom-quick-n4-draw2-seed0",
    )
    assert dict(other.parameters)["LABELLED_DRAW"] == 2
    assert own.data_hash != other.data_hash
    with pytest.raises(InputError, match="LABELLED_DRAW was given -1"):
        plan.plan(plan.Request(draws=(-1,)), folders)


def with_folds_and_methods(project: Path) -> Path:
    script = project / "notebooks" / "00_good.py"
    more = 'FOLDS = 0  # parts\nMETHODS = "supervised_few mean_teacher"  # rows\nSEED = 0'
    script.write_text(script.read_text().replace("SEED = 0", more))
    return script


def test_folds_and_methods_are_passed_and_have_pages_and_stamps_of_their_own(project: Path) -> None:
    script = with_folds_and_methods(project)
    (script.parent / "01_without.py").write_text(PARAMETERS.format(name="01_without"))
    folders = plan.Folders(project)
    plain = plan.plan(plan.Request(), folders)
    folded = plan.plan(plan.Request(folds=3, n_labelled=(2, 4)), folders)
    chosen = plan.plan(plan.Request(methods=("bcp", "aau", "bcp")), folders)
    assert [job.run_name for job in (*plain[:1], *folded[:1], *chosen[:1])] == [
        "phantom-quick-n4-seed0",
        "phantom-quick-n4-folds3-seed0",
        "phantom-quick-n4-only-bcp-aau-seed0",
    ]
    assert len(folded) == 3, "the number of labelled scans counts for the other notebook alone"
    assert dict(folded[0].parameters)["FOLDS"] == 3
    assert dict(chosen[0].parameters)["METHODS"] == "bcp aau"
    assert chosen[1] == plain[1], "a notebook without methods is what it was"
    digests = {plan.digest(job, folders) for job in (plain[0], folded[0], chosen[0])}
    assert len(digests) == 3
    same = plan.Request(folds=0, methods=("mean_teacher", "supervised_few"))
    assert plan.plan(same, folders) == plain


def test_many_methods_have_a_name_of_bounded_length(project: Path) -> None:
    with_folds_and_methods(project)
    folders, several = plan.Folders(project), ("mean_teacher", "bcp", "umct", "aau", "dsaif")
    names = {
        plan.plan(plan.Request(methods=methods), folders)[0].page_name
        for methods in (
            (*several, "recommended", "soft_labels"),
            (*several, "recommended", "ua_mt"),
        )
    }
    assert len(names) == 2 and all(len(name) < 80 for name in names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", "1"], "--folds is '1'"),
        (["--folds", "three"], "a whole number from 2"),
        (["--methods", "men_teacher"], "did you mean mean_teacher?"),
    ],
)
def test_bad_folds_and_methods_are_one_message(project, capsys, arguments, message) -> None:
    with_folds_and_methods(project)
    assert report(project, *arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and message in printed


@pytest.mark.parametrize(
    ("arguments", "name"), [(["--folds", "3"], "FOLDS"), (["--methods", "bcp"], "METHODS")]
)
def test_folds_and_methods_that_no_notebook_takes_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], name: str
) -> None:
    assert report(project, *arguments) == 2
    assert "00_good has no such parameter" in capsys.readouterr().err
    script = with_folds_and_methods(project)
    (script.parent / "01_without.py").write_text(PARAMETERS.format(name="01_without"))
    assert report(project, "--notebooks", "01", *arguments) == 2
    told = capsys.readouterr().err
    assert f"{name} for a notebook that has it: 00_good" in told and "NOTEBOOKS=00" in told


def test_the_help_names_every_profile(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report(Path(), "--help")
    told = " ".join(capsys.readouterr().out.split())
    assert ", ".join(PROFILES) in told and "--folds" in told and "--methods" in told


def test_the_terminal_names_files_that_a_run_left_out(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = plan.Folders(project)
    (job,) = plan.plan(plan.Request(), folders)
    ran = run.Ran(job, run.executed_path(job, folders), False, 1.0, None)
    result = folders.results / "00_good" / f"{job.run_name}.json"
    result.parent.mkdir(parents=True)
    for excluded, told in (
        ([], ""),
        (["a.nii: is damaged (fix: it)"], "    1 file excluded, see the page: a.nii\n"),
        (
            [f"{name}: bad" for name in "abbcde"],
            "    5 files excluded, see the page: a, b, c and 2 more\n",
        ),
    ):
        result.write_text(json.dumps({"rows": {}, "excluded": excluded}))
        assert command._say(ran, folders) == "ok"
        assert capsys.readouterr().out == f"00_good  {job.run_name}  ok  1 s\n{told}"
    result.write_text("{")
    assert command._say(ran, folders) == "ok" and "excluded" not in capsys.readouterr().out


def test_the_result_of_folds_has_a_name_of_its_own(project: Path) -> None:
    with_folds_and_methods(project)
    folders = plan.Folders(project)
    (job,) = plan.plan(plan.Request(folds=3), folders)
    assert job.result_path(folders.results) is None
    told = {"dataset": "phantom", "profile": "quick", "notebook": "00_good", "seed": 0}
    for folds, name in ((0, "phantom-quick-n9-seed0"), (3, "phantom-quick-n9-folds3-seed0")):
        path = result_path(folders.results, {**told, "n_labelled": 9, "folds": folds})
        assert path.stem == name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert job.result_path(folders.results) == path


def test_the_run_card_tells_seeds_in_words() -> None:
    def seed_line(*seeds: int) -> str:
        return dict(_seed_facts({"seed": 0}, [{"seed": seed} for seed in seeds]))["Seed shown"]

    assert [seed_line(), seed_line(0), seed_line(2, 0, 1)] == [
        "0; tables take all stored seeds of a row",
        "0 (runs of this notebook: 0); tables take all stored seeds of a row",
        "0 (runs of this notebook: 0, 1, 2); tables take all stored seeds of a row",
    ]


def test_empty_options_mean_the_notebooks_own_values() -> None:
    options = command._parser().parse_args(["--datasets", "", "--seeds", ""])
    assert command._request(options) == plan.Request()


def test_a_folder_with_spaces_is_one_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "my scans"
    folder.mkdir()
    assert command._datasets(str(folder)) == (str(folder),)
    assert command._datasets("phantom hippocampus") == ("phantom", "hippocampus")


def test_the_digest_follows_the_notebook_and_the_parameters(project: Path) -> None:
    folders = plan.Folders(project)
    first, other = plan.plan(plan.Request(seeds=(0, 1)), folders)
    before = plan.digest(first, folders)
    assert plan.digest(first, folders) == before != plan.digest(other, folders)
    first.script.write_text(first.script.read_text() + "# changed\n")
    assert plan.digest(first, folders) != before


def test_a_notebook_without_a_seed_runs_once_and_follows_the_results(project: Path) -> None:
    folders = plan.Folders(project)
    script = project / "notebooks" / "00_good.py"
    script.write_text(script.read_text().replace("SEED = 0  # random numbers\n", ""))
    (only,) = plan.plan(plan.Request(datasets=("unknown",), seeds=(0, 1)), folders)
    before = plan.digest(only, folders)
    assert plan.digest(only, folders) == before
    result = folders.results / "00_good" / "run.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    assert plan.digest(only, folders) != before
    assert "Seed shown" not in dict(run_facts({"parameters": {"DATASET": "x"}}, []))
    assert "Seed shown" in dict(run_facts({"parameters": {"SEED": 0}}, []))


# --- running


@pytest.mark.slow
def test_a_good_run_is_executed_once_until_it_is_forced(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(project, "--store-outputs") == 0
    page = page_of(project, "00_good")
    assert "seed 0, static 1, in ." in page
    assert str(project) not in page
    assert (project / "runs.txt").read_text() == "x"

    script = project / "notebooks" / "00_good.py"
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert paired(script, script.with_suffix(".ipynb")) == []
    assert "static 1" in notebook.cells[-1].outputs[0].text
    assert sync([script]) == []

    assert report(project) == 0
    assert "unchanged" in capsys.readouterr().out
    assert (project / "runs.txt").read_text() == "x"
    assert report(project, "--force") == 0
    assert (project / "runs.txt").read_text() == "xx"
    (project / "reports" / "00_good" / "phantom-quick-n4.html").unlink()
    assert report(project) == 0
    assert page_of(project, "00_good") and (project / "runs.txt").read_text() == "xx"
    (project / "build" / "executed" / "00_good" / "phantom-quick-n4-seed0.ipynb").unlink()
    assert report(project) == 0
    assert (project / "runs.txt").read_text() == "xxx"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stored", "runs"),
    [("", "x"), ('{"dice": 0.75}', "x"), ('{"dice": 0.5}', "xx"), ("{cut off", "xx")],
)
def test_a_run_that_replaces_a_stored_row_is_executed_once_more(project, stored, runs) -> None:
    row = project / "reports" / "results" / "rows" / "phantom-quick-n4-abc" / "row-seed0.json"
    row.parent.mkdir(parents=True)
    if stored:
        row.write_text(stored)
    script = project / "notebooks" / "00_good.py"
    script.write_text(script.read_text() + f"Path({str(row)!r}).write_text('{{\"dice\": 0.75}}')\n")
    assert report(project) == 0
    assert (project / "runs.txt").read_text() == runs


@pytest.mark.slow
def test_one_failure_never_stops_the_others(failing: tuple[Path, int]) -> None:
    root, code = failing
    assert code == 1
    states = {
        data.notebook: data.status
        for data in map(read_page_data, sorted((root / "reports").glob("*/*.html")))
    }
    assert states == {
        "00_good": "ok",
        "01_error": "failed",
        "02_killed": "failed",
        "03_sleeps": "failed",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("01_error", "KeyError: &#39;&lt;b&gt;no such key&lt;/b&gt;&#39;"),
        ("02_killed", "the kernel died here"),
        ("03_sleeps", "this cell took longer than allowed"),
    ],
)
def test_a_failure_stands_first_and_points_to_its_cell(
    failing: tuple[Path, int], name: str, message: str
) -> None:
    page = page_of(failing[0], name)
    banner = page.index("This run failed.")
    assert banner < page.index("Run card") < page.index('class="cell')
    assert message in page[banner : page.index("Run card")]
    target = re.search(r'href="#(cell-\d+)"', page[banner:]).group(1)
    culprit = page[page.index(f'id="{target}"') :]
    assert re.search("key|_exit|sleep", culprit[: culprit.index("</code>")])
    assert "before" in page
    assert "<b>no such key" not in page


@pytest.mark.slow
def test_a_failed_run_is_tried_again(failing: tuple[Path, int]) -> None:
    assert not list((failing[0] / "build" / "stamps").glob("0[123]*/*"))
    assert list((failing[0] / "build" / "stamps").glob("00_good/*"))


@pytest.mark.slow
def test_nothing_global_is_left_behind(failing: tuple[Path, int]) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    assert run.KERNEL not in KernelSpecManager().find_kernel_specs()


# --- how a run ended


def executed_notebook(*counts: int | None) -> nbformat.NotebookNode:
    cells = [new_code_cell("x", execution_count=count) for count in counts]
    return new_notebook(cells=cells)


def test_a_finished_notebook_has_no_failure() -> None:
    notebook = executed_notebook(1, 2)
    notebook.cells.append(new_code_cell("  "))
    assert outcome.diagnose(notebook) is None


def test_a_cell_without_a_count_is_where_the_kernel_died() -> None:
    failure = outcome.diagnose(executed_notebook(1, None, None))
    assert (failure.cell, "the kernel died here" in failure.message) == (2, True)


def test_the_last_started_cell_is_to_blame_even_if_it_has_a_count() -> None:
    notebook = executed_notebook(1, 2, None)
    for cell in notebook.cells[:2]:
        cell.metadata.papermill = {"start_time": "2020-01-01"}
    assert outcome.diagnose(notebook, RuntimeError("Kernel died")).cell == 2


# --- formulas


@pytest.mark.parametrize(
    "latex",
    [
        r"\theta' \leftarrow \alpha\,\theta' + (1-\alpha)\,\theta",
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\hat{y} = \operatorname*{arg\,max}_c\, p_c + \arg\min_{x} \bigl\| p'_i \bigr\|_2^2",
        r"\begin{cases} 1 & x>0 \\ 0 & \text{otherwise} \end{cases}",
    ],
)
def test_usual_formulas_become_mathml(latex: str) -> None:
    mathml = to_mathml(latex, block=True)
    assert mathml.startswith("<math") and "\\" not in mathml and "&amp;" not in mathml


def test_an_unknown_command_is_found_and_its_source_shown() -> None:
    with pytest.raises(FormulaError, match="nosuchthing"):
        to_mathml(r"\nosuchthing{x} < 1", block=False)
    assert "\\nosuchthing{x} &lt; 1</code>" in formula_html(r"\nosuchthing{x} < 1", block=False)


# --- markdown


@pytest.fixture
def markdown(tmp_path: Path) -> Markdown:
    return Markdown(tmp_path)


def test_no_line_ends_between_a_formula_and_its_punctuation(markdown):
    html = markdown("At most $x$, which ($y$). Alone: $z$ is free.")
    assert html.count('class="together"') == 2
    assert re.search(r'<span class="together"><math.*?</math>,</span> which', html)
    assert re.search(r'<span class="together">\(<math.*?</math>\)\.</span> Alone', html)


def test_formulas_are_safe_from_markdown_and_code_from_formulas(markdown: Markdown) -> None:
    html = markdown("$a_1 * b_1 * c$ and `$x$` and \\$5, $6 off\n\n```\n$y$\n```\n\n$$\nz_1\n$$")
    assert html.count("<math") == 2
    assert "<em>" not in html and "placeholder" not in html
    assert "<code>$x$</code>" in html and "$y$" in html and "$5, $6 off" in html


def test_headings_get_different_anchors(markdown: Markdown) -> None:
    html = markdown("## What *is* $x$?\n\n## What is x?") + markdown("## What is x?")
    anchors = [heading.anchor for heading in markdown.headings]
    assert len(set(anchors)) == 3
    assert all(f'id="{anchor}"' in html for anchor in anchors)
    assert {heading.text for heading in markdown.headings} == {"What is x?"}


def test_remote_pictures_become_text_and_local_ones_are_embedded(
    markdown: Markdown, tmp_path: Path
) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "local.png")
    html = markdown("![a badge](https://example.org/b.svg) ![here](local.png)")
    assert "a badge" in html and "example.org" not in html
    assert 'src="data:image/png;base64,' in html and 'alt="here"' in html


def test_wide_tables_scroll(markdown: Markdown) -> None:
    assert 'class="table-box"' in markdown("| a | b |\n|---|---|\n| 1 | 2 |")


# --- outputs


def png(colour: str = "red", size: tuple[int, int] = (8, 8)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    "metadata", [{"alt": 'a "red" <square>'}, {"image/png": {"alt": 'a "red" <square>'}}]
)
def test_alt_text_is_kept_and_escaped(metadata: dict, tmp_path: Path) -> None:
    output = new_output("display_data", {"image/png": png()}, metadata=metadata)
    assert 'alt="a &#34;red&#34; &lt;square&gt;"' in outputs_html([output], tmp_path).replace(
        "&quot;", "&#34;"
    )


def test_a_progress_bar_shows_its_last_state() -> None:
    assert last_writes("0%\r50%\r100%\nnext\r\n") == "100%\nnext\n"


def test_streams_are_joined_folded_and_escaped(tmp_path: Path) -> None:
    lines = [new_output("stream", name="stdout", text=f"<i>{n}</i>\n") for n in range(20)]
    html = outputs_html(lines, tmp_path)
    assert html.count("<pre") == 1 and "20 lines of text" in html and "<i>" not in html
    messages = outputs_html([new_output("stream", name="stderr", text="careful\n")], tmp_path)
    assert "<details" in messages and "careful" in messages


# --- pages


def write_executed(path: Path, *, cells: list | None = None, **notes: object) -> Path:
    stated = {
        "notebook": "00_x",
        "dataset": "phantom",
        "profile": "quick",
        "n_labelled": 4,
        "seed": 0,
        "parameters": {},
        "seconds": 5.0,
        "when": "2020-01-01T00:00:00",
        "failure": None,
    }
    notebook = new_notebook(cells=cells or [new_markdown_cell("# A title\n\nText.")])
    outcome.note(notebook, **{**stated, **notes})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def page_from(tmp_path: Path, *cells: object, **notes: object) -> tuple[str, PageData]:
    executed = write_executed(tmp_path / "run.ipynb", cells=list(cells), **notes)
    data = write_page([executed], tmp_path / "page.html", [], tmp_path)
    return (tmp_path / "page.html").read_text(), data


def test_a_number_stays_with_its_percent_sign_where_text_is_read() -> None:
    text = '<p title="5 %">95 % of <b>3</b> % </p><pre>4 %</pre><script>"6 %"</script>7 %'
    wanted = text.replace("95 %", "95\u00a0%").replace("7 %", "7\u00a0%")
    assert unbroken(text) == wanted and unbroken(wanted) == wanted


def test_a_page_has_landmarks_language_and_policy(tmp_path: Path) -> None:
    html, _ = page_from(tmp_path, new_markdown_cell("# T\n\n## One"), new_code_cell("x = 1"))
    for part in ('<html lang="en">', "<main", "<nav", "<header", "<footer", 'class="skip"'):
        assert part in html
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert html.count("<h1>") == 1
    assert offline.external_references(html) == []


def test_parameters_and_dataset_names_are_escaped(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    html, data = page_from(tmp_path, dataset=nasty, parameters={"DATASET": nasty})
    assert nasty not in html
    assert data.dataset == nasty
    assert read_page_data(tmp_path / "page.html") == data


def test_a_smoke_page_says_that_its_numbers_mean_nothing(tmp_path: Path) -> None:
    warning = "The numbers on this page mean nothing."
    assert warning in page_from(tmp_path, profile="smoke")[0]
    assert warning not in page_from(tmp_path, profile="quick")[0]


def test_solutions_are_folded_and_code_is_there(tmp_path: Path) -> None:
    solution = new_code_cell("answer = 42", metadata={"tags": ["solution"]}, execution_count=1)
    html, _ = page_from(tmp_path, solution)
    assert html.index("<summary>Solution") < html.index("answer")


def test_folded_cells_with_nothing_between_them_share_a_fold(tmp_path: Path) -> None:
    words = new_output("stream", name="stdout", text="result")
    ran = {"execution_count": 1}
    cells = [
        new_code_cell("def first():\n    pass", **ran),
        new_code_cell("b = 2", outputs=[words], **ran),
        new_code_cell("c = 3", **ran),
        new_code_cell("shown = 4", metadata={"tags": ["definition"]}, **ran),
        new_code_cell("d = 5", **ran),
        new_code_cell("e = 6"),
    ]
    html, _ = page_from(tmp_path, *cells)
    folds = re.findall(r"<summary>(Code.*?)</summary>(.*?)</details>", html, re.DOTALL)
    assert [summary for summary, _ in folds] == [
        "Code: first, 3 lines", "Code, 1 line", "Code, 1 line", "Code, 1 line",
        "Code, not run to its end",
    ]  # fmt: skip
    assert folds[0][1].count("<pre") == 2 and html.index("result") > html.index(folds[0][1])
    identities = re.findall(r'id="(cell-\d+)"', html)
    assert len(set(identities)) == len(identities) >= len(cells)


def test_a_chart_is_marked_and_a_scan_is_not(monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(
        style, "display", lambda data, metadata, **_: shown.append((data, metadata))
    )
    for draw in (lambda ax: ax.plot([1, 2]), lambda ax: ax.imshow(np.eye(3))):
        figure = style.new_figure(2)
        draw(figure.subplots())
        style.show(figure, "A figure.")
    outputs = [new_output("display_data", data, metadata=words) for data, words in shown]
    chart, scan = (outputs_html([output], Path()) for output in outputs)
    assert 'class="chart"' in chart and 'class="chart"' not in scan


def test_a_page_that_is_too_large_fails_loudly_but_exists(tmp_path: Path) -> None:
    text = "x" * (offline.MAX_BYTES + 1)
    cell = new_code_cell("big", outputs=[new_output("stream", name="stdout", text=text)])
    html, data = page_from(tmp_path, cell)
    assert data.status == "failed" and "bytes" in data.failures[0]
    assert "bytes" in html and len(html) < 100_000


def test_scans_on_a_page_that_is_too_large_have_a_lower_quality(tmp_path, monkeypatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (500, 500), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="PNG")
    picture = {"image/png": base64.b64encode(buffer.getvalue()).decode()}
    cell = new_code_cell("scan", outputs=[new_output("display_data", picture)])
    best, data = page_from(tmp_path, cell)
    assert data.status == "ok"
    monkeypatch.setattr(offline, "MAX_BYTES", len(best.encode()) - 1)
    smaller, data = page_from(tmp_path, cell)
    assert data.status == "ok" and "data:image/webp" in smaller and len(smaller) < len(best)


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://example.org/x.js"></script>',
        '<link rel="stylesheet" href="//example.org/x.css">',
        "<style>@import 'x.css';</style>",
        "<style>p { background: url(https://example.org/x.png) }</style>",
        '<iframe src="https://example.org"></iframe>',
    ],
)
def test_output_from_a_network_fails_loudly(tmp_path: Path, html: str) -> None:
    cell = new_code_cell("x", outputs=[new_output("display_data", {"text/html": html})])
    page, data = page_from(tmp_path, cell)
    assert "from elsewhere" in data.failures[0]
    assert offline.external_references(page) == []


def test_a_plain_link_is_no_load() -> None:
    assert offline.external_references('<a href="https://example.org">paper</a>') == []


def test_the_failed_seed_is_shown_and_all_seeds_count(tmp_path: Path) -> None:
    failure = outcome.Failure(1, "ValueError: bad")
    runs = [
        write_executed(tmp_path / "0.ipynb", seed=0, failure=failure),
        write_executed(tmp_path / "1.ipynb", seed=1, when="2030-01-01"),
    ]
    data = write_page(runs, tmp_path / "page.html", [], tmp_path)
    assert data.failures == ("Seed 0, cell 1: ValueError: bad",)
    assert data.seconds == 10.0
    assert "Seed shown</dt><dd>0" in (tmp_path / "page.html").read_text()


def test_of_a_figure_the_richest_panel_is_taken() -> None:
    figure = Image.new("RGB", (300, 120), "white")
    figure.paste("#202020", (10, 10, 110, 110))
    noise = Image.effect_noise((100, 100), 90).point(lambda value: min(value, 230))
    figure.paste(noise, (150, 10))
    assert thumbnail.richest_panel(figure).tobytes() == noise.convert("RGB").tobytes()
    chart = Image.new("RGB", (300, 120), "white")
    chart.paste("black", (10, 10, 12, 110))
    assert thumbnail.richest_panel(chart) is chart


def test_thumbnails_prefer_the_tagged_figure_and_are_small() -> None:
    noise = Image.effect_noise((90, 70), 90).resize((900, 700))
    file = io.BytesIO()
    noise.save(file, "PNG")
    large = base64.b64encode(file.getvalue()).decode()
    tagged = new_code_cell(
        "b",
        metadata={"tags": ["first-figure"]},
        outputs=[new_output("display_data", {"image/png": large})],
    )
    first = new_code_cell("a", outputs=[new_output("display_data", {"image/png": png()})])
    uri = thumbnail.thumbnail(new_notebook(cells=[first, tagged]))
    assert uri.startswith("data:image/jpeg") and 2000 < len(uri) < thumbnail.MAX_CHARACTERS
    chart = new_code_cell("d", metadata=tagged.metadata, outputs=first.outputs)
    scan = new_code_cell("e", outputs=tagged.outputs)
    assert thumbnail.thumbnail(new_notebook(cells=[chart, scan])) == uri
    assert thumbnail.thumbnail(new_notebook(cells=[first, chart])) != uri
    assert thumbnail.thumbnail(new_notebook(cells=[new_code_cell("c")])) == ""
    named = new_code_cell("f", metadata={"tags": ["thumbnail"]}, outputs=first.outputs)
    assert thumbnail.thumbnail(new_notebook(cells=[scan, named])) == (
        thumbnail.thumbnail(new_notebook(cells=[named]))
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.6, "8 s"), (125, "2 min 05 s"), (4200, "1 h 10 min")]
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- the index


def store_result(root: Path, seed: int, dice: float, dataset: str = "phantom") -> None:
    cohort = phantom_cohort(4, dimensions=2, max_scans=12)
    per_case = [
        {"id": case.case_id, "class": 1, "dice": dice, "jaccard": 0.5, "hd95": 2.0, "asd": 1.0}
        for case in cohort.test
    ]
    row = {
        **{"dice": dice, "jaccard": 0.5, "hd95": 2.0, "asd": 1.0, "empty_predictions": 0},
        "units": {"dice": "fraction", "hd95": "voxel"},
        "per_case": per_case,
    }
    result = build_result(
        notebook="00_x",
        dataset=dataset,
        cohort=cohort,
        n_labelled=4,
        seed=seed,
        profile="quick",
        parameters={},
        rows={"supervised_few": row, "mean_teacher": row},
        seconds=1.0,
        device="cpu",
    )
    write_result(result, root / "results")


def test_the_index_shows_cards_leaderboard_failures_and_broken_results(tmp_path: Path) -> None:
    store_result(tmp_path, seed=0, dice=0.5)
    store_result(tmp_path, seed=1, dice=0.75)
    (tmp_path / "results" / "00_x" / "broken.json").write_text("{")
    good = write_executed(tmp_path / "a.ipynb")
    bad = write_executed(tmp_path / "b.ipynb", failure=outcome.Failure(2, "<i>worse</i>"))
    write_page([good], tmp_path / "00_x" / "phantom-quick-n4.html", [], tmp_path)
    write_page([bad], tmp_path / "01_y" / "phantom-quick-n4.html", [], tmp_path)
    html = index.write_index(tmp_path, tmp_path / "results").read_text()
    assert 'href="00_x/phantom-quick-n4.html"' in html
    assert "&lt;i&gt;worse&lt;/i&gt;" in html and "<i>" not in html
    assert "broken.json" in html
    assert "0.625 [0.625,\u00a00.625]" in html and "<td>2</td>" in html
    assert "2.0 [2.0,\u00a02.0]" in html and "95HD (voxels)" in html
    assert offline.external_references(html) == []


def test_the_pages_of_a_notebook_share_a_card_with_its_claim(tmp_path: Path) -> None:
    executed = write_executed(tmp_path / "a.ipynb")
    for name in ("phantom-quick-n1", "phantom-quick-n4"):
        write_page([executed], tmp_path / "00_x" / f"{name}.html", [], tmp_path)
    page = tmp_path / "00_x" / "phantom-quick-n4.html"
    text = page.read_text(encoding="utf-8")
    claim = "<p><strong>Few &amp; <em>good</em>\nlabels.</strong></p>"
    claim += "<p>about 5 minutes\nto read, 12 with the tasks.</p>"
    page.write_text(text.replace("</h1>", f"</h1>{claim}", 1), encoding="utf-8")
    (tmp_path / "00_x" / "phantom-quick-n1.html").write_text(page.read_text(), encoding="utf-8")
    html = index.write_index(tmp_path, tmp_path / "results").read_text()
    assert html.count("<article") == 1 and "<p>Few &amp; good labels.</p>" in html
    assert "5 minutes to read, 12 with the tasks" in html
    assert all(f'href="00_x/phantom-quick-n{n}.html"' in html for n in (1, 4))


def test_pages_about_folders_stand_on_a_list_of_their_own(tmp_path: Path) -> None:
    """What is somebody's own is on no page that git knows, and git passes its files by."""
    store_result(tmp_path, seed=0, dice=0.5)
    store_result(tmp_path, seed=0, dice=0.5, dataset="/home/anna/scans")
    own = safe_name("/home/anna/scans")
    named, mine, smoke = (
        tmp_path / "00_x" / f"{name}.html"
        for name in ("phantom-quick-n4", f"{own}-quick-n4", "phantom-smoke-n4")
    )
    write_page([write_executed(tmp_path / "a.ipynb")], named, [], tmp_path)
    text = named.read_text()
    mine.write_text(text.replace('"dataset": "phantom"', f'"dataset": "{own}"'))
    smoke.write_text(text.replace('"profile": "quick"', '"profile": "smoke"'))
    index.write_index(tmp_path, tmp_path / "results")
    first, other = ((tmp_path / name).read_text() for name in ("index.html", index.OWN))
    assert own not in first and own not in named.read_text() and own in other
    assert f"00_x/{mine.name}" in other and f"00_x/{named.name}" not in other
    assert f"00_x/{smoke.name}" in first and smoke.name not in named.read_text()
    assert named.name in mine.read_text(), "one's own page leads to the others"
    kept = [f"reports/00_x/{own}-quick-n4.html", f"reports/results/rows/{own}-quick-n4-1/a.json",
            "reports/own.html", "scans/imagesTr/a.nii.gz"]  # fmt: skip
    if (ROOT / ".git").exists():
        asked = ["git", "check-ignore", *kept]
        ignored = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ignored.stdout.split() == kept
    mine.unlink()
    written = (tmp_path / "index.html").stat().st_mtime_ns
    index.write_index(tmp_path, tmp_path / "results")
    assert not (tmp_path / index.OWN).exists()
    assert (tmp_path / "index.html").stat().st_mtime_ns == written, "nothing new: not written"


def test_a_card_compares_the_notebooks_row_with_the_control(tmp_path: Path) -> None:
    store_result(tmp_path, seed=0, dice=0.5)
    (stored,), _ = index.stored_results(tmp_path / "results")
    rows = stored["rows"] | {"supervised_strong": stored["rows"]["supervised_few"]}
    found = index._difference([stored | {"rows": rows}], "mean_teacher")
    assert found and (found.interval.mean, found.interval.n_seeds) == (0.0, 1)
    assert index._difference([stored], "mean_teacher") is None
    assert index._difference([], "bcp") is None


def test_different_cohorts_are_never_pooled(tmp_path: Path) -> None:
    store_result(tmp_path, seed=0, dice=0.5)
    results, _ = index.stored_results(tmp_path / "results")
    other = {**results[0], "cohort_hash": "another", "seed": 1}
    assert len(index.boards([*results, other])) == 2


def test_an_index_without_pages_says_what_to_do(tmp_path: Path) -> None:
    html = index.write_index(tmp_path, tmp_path / "results").read_text()
    assert "make reports" in html


def test_runs_side_by_side_do_not_take_each_others_kernels(project: Path) -> None:
    command_line = [sys.executable, "-m", "ssl_lib.reports", "--root", str(project), "--seeds"]
    running = [subprocess.Popen([*command_line, seed], cwd=project) for seed in ("0", "1")]
    assert [process.wait(120) for process in running] == [0, 0]
    assert not list(project.glob("kernel-*"))


def test_every_run_has_sockets_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        run.papermill,
        "execute_notebook",
        lambda *_, config, **__: seen.append(config.KernelManager.ip),
    )
    report(project, "--seeds", "0 1")
    assert len(set(seen)) == 2 and not any(Path(place).parent.exists() for place in seen)


def test_notebooks_lead_to_the_glossary_that_stands_beside_the_index(tmp_path: Path) -> None:
    html, _ = page_from(tmp_path, new_markdown_cell("See the [glossary](../docs/glossary.md)."))
    assert 'href="../glossary.html"' in html and "glossary.md" not in html
    index.write_index(tmp_path / "reports", tmp_path / "results")
    page = (tmp_path / "reports" / "glossary.html").read_text()
    words = re.findall(r"<tr[^>]*>\s*<td>(.*?)</td>\s*<td>(.+?)</td>", page)
    assert len(words) > 40 and len({word for word, _ in words}) == len(words)


def test_what_was_measured_has_a_page_that_the_index_of_the_project_leads_to(tmp_path) -> None:
    page = (ROOT / "reports" / "findings.html").read_text(encoding="utf-8")
    index.write_texts(tmp_path)
    assert page == (tmp_path / "findings.html").read_text(encoding="utf-8")
    assert all(f"<td>{row_name(row)}" in page for row in ("bcp", "umct", "aau", "dsaif"))
    assert 'href="findings.html"' in (ROOT / "reports" / "index.html").read_text(encoding="utf-8")


def test_a_link_of_a_notebook_to_the_reports_leads_there_from_a_page(tmp_path: Path) -> None:
    html, _ = page_from(tmp_path, new_markdown_cell("All [pages](../reports/index.html)."))
    assert 'href="../index.html">pages' in html and "reports/index.html" not in html


STORED = sorted((Path(__file__).resolve().parents[2] / "reports" / "05_comparison").glob("*.html"))


@pytest.mark.parametrize("page", STORED, ids=lambda page: page.stem)
def test_a_stored_comparison_has_rows_to_compare(page: Path) -> None:
    (found,) = re.findall(r"of one cohort and one seed;\s+(\d+)\s+for", page.read_text())
    assert int(found) > 0
