"""Every dot is a scan: scores and order are the library's, and dots are chosen in every way."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from browser import violations
from organ_scans import SPACING, organ
from pieces import shown_by, write_piece_page
from scipy import ndimage
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.data.cohort import Case
from ssl_lib.evaluation.metrics import mean_dice, score_scan
from ssl_lib.figures import choose_slice
from ssl_lib.figures.scans import judge
from ssl_lib.figures.slices import Slice, slicing_axis
from ssl_lib.figures.surfaces import DIVERGING
from ssl_lib.methods import row_name
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.page import Lossy, packed, version
from ssl_lib.utils.errors import InputError

NAMES = ("background", "one", "two")
ROWS = ("supervised_few", "supervised_strong", "bcp_ablation", "bcp")
COUNT = 9
pytestmark = pytest.mark.slow

Maps = dict[str, np.ndarray]


def cases_and_truths() -> tuple[list[Case], Maps]:
    """The last scan shows no organ at all, so that its Dice may be undefined."""
    organs = {f"a{seed}": organ(seed)[:2] for seed in range(COUNT)}
    cases = [Case(name, name, image, SPACING) for name, (image, _) in organs.items()]
    truths = {name: truth for name, (_, truth) in organs.items()}
    truths[f"a{COUNT - 1}"] = np.zeros_like(truths["a0"])
    return cases, truths


def predicted(truths: Maps, seed: int) -> Maps:
    """Truths with random voxels of any class; an empty truth stays empty."""
    random, found = np.random.default_rng(seed), {}
    for name, truth in truths.items():
        wrong = (random.random(truth.shape) < random.uniform(0.02, 0.3)) & truth.any()
        found[name] = np.where(wrong, random.integers(0, 3, truth.shape), truth).astype(np.uint8)
    return found


def result_of(predictions: dict[str, Maps], truths: Maps) -> dict[str, object]:
    rows = {}
    for row, maps in predictions.items():
        entries = [
            {"id": name, **asdict(score)}
            for name, truth in truths.items()
            for score in score_scan(maps[name], truth, n_classes=3, spacing=SPACING)
        ]
        rows[row] = {"per_case": entries, "units": {"hd95": "mm"}}
    shared = {"cohort_hash": "h", "profile": "quick", "n_labelled": 2, "seed": 7}
    return {**shared, "rows": rows}


@pytest.fixture(scope="module")
def predictions() -> dict[str, Maps]:
    truths = cases_and_truths()[1]
    return {row: predicted(truths, seed) for seed, row in enumerate(ROWS)}


def write_page(folder: Path, predictions: dict[str, Maps]) -> Path:
    cases, truths = cases_and_truths()
    with pytest.MonkeyPatch.context() as patch:
        result = result_of(predictions, truths)
        pieces = shown_by(
            patch,
            lambda: interactive.scans(
                cases, truths, predictions, result, NAMES, row="bcp", alt="Every test scan."
            ),
        )
    return write_piece_page(folder / "page.html", pieces)


@pytest.fixture(scope="module")
def file(tmp_path_factory, predictions) -> Path:
    return write_page(tmp_path_factory.mktemp("scans"), predictions)


@pytest.fixture
def page(file: Path, open_page) -> object:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    return page


def dice_of(predictions: dict[str, Maps], row: str) -> dict[str, float]:
    """The defined scores of a row, from the lowest to the highest."""
    truths = cases_and_truths()[1]
    dice = {name: mean_dice(predictions[row][name], truth, 3) for name, truth in truths.items()}
    known = {name: value for name, value in dice.items() if not np.isnan(value)}
    return dict(sorted(known.items(), key=lambda pair: pair[1]))


def said(page: object) -> str:
    return page.inner_text(".ssl-piece .readout")


def wanted(predictions: dict[str, Maps], name: str, row: str, other: str) -> str:
    """The end of the readout: both rows with their Dice, the difference, and that of all scans."""
    scores = [dice_of(predictions, key) for key in (row, other)]
    one, two = (round(found[name], 4) for found in scores)
    gaps = [round(scores[0][key] - scores[1][key], 9) for key in scores[0]]
    shown = round(float(f"{one:.3f}") - float(f"{two:.3f}"), 3)
    gap, mean = (f"{x:+.3f}".replace("-", "−") for x in (shown, np.mean(gaps)))
    better, worse = sum(x > 0 for x in gaps), sum(x < 0 for x in gaps)
    return (
        f"{row_name(row)}: Dice {one:.3f}; {row_name(other)}: Dice {two:.3f}; difference {gap}. "
        f"{row_name(row)} is better on {better} of {len(gaps)} scans, worse on {worse}; mean "
        f"difference {mean}."
    )


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece canvas")
    assert opened.page.locator(".ssl-piece svg path").count() == len(ROWS) * COUNT
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])
    assert "all 9 test scans, seed 7" in opened.page.inner_text(".ssl-piece")


def test_buttons_choose_by_the_scores_of_the_library(page, predictions) -> None:
    ranked = list(dice_of(predictions, "bcp"))
    strong = dice_of(predictions, "supervised_strong")
    gaps = {n: d - strong[n] for n, d in dice_of(predictions, "bcp").items()}
    chosen = {
        "Best": ranked[-1],
        "Worst": ranked[0],
        "Median": ranked[(len(ranked) - 1) // 2],
        "Highest difference": max(gaps, key=gaps.__getitem__),
        "Lowest difference": min(gaps, key=gaps.__getitem__),
    }
    assert said(page).startswith(f"{chosen['Median']}, "), "it starts at the median scan"
    for button, name in chosen.items():
        page.click(f".ssl-piece button:text-is('{button}')")
        assert said(page).startswith(f"{name}, slice ")
        assert said(page).endswith(wanted(predictions, name, "bcp", "supervised_strong"))


def test_arrows_go_through_a_row_by_dice_and_to_other_rows(page, predictions) -> None:
    ranked = list(dice_of(predictions, "bcp"))
    page.click(".ssl-piece button:text-is('Worst')")  # the focus goes to the plot
    for name in (*ranked[1:], ranked[-1]):
        page.keyboard.press("ArrowRight")
        assert said(page).startswith(f"{name}, ")
    page.keyboard.press("ArrowUp")
    assert said(page).endswith(wanted(predictions, ranked[-1], "bcp_ablation", "supervised_strong"))
    for _ in ROWS:
        page.keyboard.press("ArrowUp")
    page.select_option("select >> nth=1", label=row_name("bcp"))
    assert said(page).endswith(wanted(predictions, ranked[-1], "supervised_few", "bcp"))


def test_a_dot_says_what_it_is_and_a_click_chooses_it(page, predictions) -> None:
    worst = next(iter(dice_of(predictions, "supervised_few")))
    lowest = page.locator(".ssl-piece svg path[transform*=scale]").first
    lowest.hover(force=True)
    dice = dice_of(predictions, "supervised_few")[worst]
    assert f"{worst}: Dice {dice:.3f}, 95HD " in page.locator(".ssl-piece svg").text_content()
    lowest.click(force=True)
    assert said(page).endswith(wanted(predictions, worst, "supervised_few", "supervised_strong"))
    joined = page.get_attribute(".ssl-piece polyline", "points")
    assert len(joined.split()) == len(ROWS)


def test_a_choice_stays_where_it_is_while_it_is_made(page) -> None:
    """Rows have longer and shorter names, and distances a scale of their own."""
    for choice in page.locator(".ssl-piece select").all():
        places = set()
        for index in range(choice.locator("option").count()):
            choice.select_option(index=index)
            places.add(round(choice.bounding_box()["y"]))
        assert len(places) == 1


CENTRES = """canvas => {
    const [rows, columns] = SHAPE, context = canvas.getContext("2d");
    return Array.from({length: rows * columns}, (_, i) => [...context.getImageData(
        (i % columns + .5) * canvas.width / columns,
        (Math.floor(i / columns) + .5) * canvas.height / rows, 1, 1).data]);
}"""


def test_words_below_pictures_need_no_more_room_after_the_page_was_narrow(page) -> None:
    rooms = "[...document.querySelectorAll('.picture > small')].map((one) => one.clientHeight)"
    wide = page.evaluate(rooms)
    page.set_viewport_size({"width": 260, "height": 900})
    page.wait_for_function(f"Math.max(...{rooms}) > {max(wide)}")
    page.set_viewport_size({"width": 1200, "height": 900})
    page.wait_for_function(f"Math.max(...{rooms}) === {max(wide)}")


def slice_of(
    predictions: dict[str, Maps], name: str, row: str
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Label, truth and pixel of the slice that is shown."""
    cases, truths = cases_and_truths()
    case = next(case for case in cases if case.case_id == name)
    cut = choose_slice(case.image, truths[name], slicing_axis([c.image for c in cases]))
    return cut.of(predictions[row][name]), cut.of(truths[name]), cut.pixel(SPACING)


def test_right_and_wrong_pixels_are_those_of_the_library(page, predictions) -> None:
    name = next(iter(dice_of(predictions, "bcp")))
    page.click(".ssl-piece button:text-is('Worst')")
    for place, row in enumerate(("bcp", "supervised_strong")):
        label, truth, _ = slice_of(predictions, name, row)
        script = CENTRES.replace("SHAPE", str(list(label.shape)))
        red, _, blue, _ = np.array(
            page.locator(".ssl-piece canvas").nth(place).evaluate(script)
        ).T.astype(int)
        shown = np.where(red == blue, 0, np.where(blue > red, 1, 2)).reshape(label.shape)
        np.testing.assert_array_equal(shown, judge(label, np.zeros(label.shape), truth))
        assert set(np.unique(shown)) == {0, 1, 2}


def far_of(label: np.ndarray, truth: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    """The signed distance of each wrong pixel by scipy alone, written here a second time."""
    found = np.full(label.shape, np.nan)
    for k in (1, 2):
        mask = truth == k
        inner = ndimage.binary_erosion(mask)
        far = ndimage.distance_transform_edt(~(mask & ~inner), sampling=pixel)
        outside, missed = (label == k) & ~mask, (label == 0) & mask
        found[outside] = far[outside] if mask.any() else np.inf
        found[missed] = -far[missed]
    return found


def said_of(far: np.ndarray) -> str:
    known = np.sort(np.abs(far[np.isfinite(far)]).astype(np.float32))
    return f"wrong pixels: median {known[(len(known) - 1) // 2]:.1f}, farthest {known[-1]:.1f} mm"


def test_the_distance_of_every_wrong_pixel_is_that_of_scipy(page, predictions) -> None:
    """Colours are compared pixel by pixel, away from the truth's white line."""
    page.select_option("select >> nth=2", label="distance in mm")
    page.click(".ssl-piece button:text-is('Worst')")
    name = next(iter(dice_of(predictions, "bcp")))
    clip = json.loads(page.locator("script[type='application/json']").text_content())["far"]["clip"]
    seen = set()
    for place, row in enumerate(("bcp", "supervised_strong")):
        label, truth, pixel = slice_of(predictions, name, row)
        far = far_of(label, truth, pixel)
        assert page.locator(".ssl-piece .picture small").nth(place).inner_text() == said_of(far)
        script = CENTRES.replace("SHAPE", str(list(label.shape)))
        shown = np.array(page.locator(".ssl-piece canvas").nth(place).evaluate(script))
        shown = shown[:, :3].reshape(*label.shape, 3)
        grey = shown[..., 0] == shown[..., 2]
        np.testing.assert_array_equal(grey, np.isnan(far))
        for i, j in np.argwhere(np.isfinite(far)):
            part = min(abs(far[i, j]) / clip, 1)
            near, end = DIVERGING[3:] if far[i, j] > 0 else DIVERGING[1::-1]
            colour = [a + part * (b - a) for a, b in zip(rgb(near), rgb(end), strict=True)]
            # 0.85 of the colour over a grey level that the picture does not tell exactly
            assert np.ptp((shown[i, j] - 0.85 * np.array(colour)) / 0.15) < 30, (i, j)
        seen |= {np.sign(value) for value in far[np.isfinite(far)]}
    assert {1.0, -1.0} <= seen


def rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def test_the_scale_of_the_distances_has_a_unit_and_is_there_only_with_them(page) -> None:
    scale = page.locator(".ssl-piece .scale")
    assert not scale.is_visible()
    page.select_option("select >> nth=2", label="distance in mm")
    assert re.search(r"missed, \d+ mm or more\s+0\s+predicted outside, \d+ mm", scale.inner_text())
    text = page.inner_text(".ssl-piece")
    assert "whose pixels are 1.5 x 1 mm" in text, "height and width of the pixels of axis 2"
    assert "In the next slice the border may be nearer" in text
    assert violations(page) == [] and faults(page) == {}
    page.select_option("select >> nth=2", label="classes")
    assert not scale.is_visible()


def test_a_stored_figure_without_pixel_sizes_keeps_its_two_displays(
    tmp_path, predictions, open_page
) -> None:
    file = write_page(tmp_path, predictions)
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'"far":\{.*?\},', "", text), encoding="utf-8")
    opened = open_page(file)
    opened.page.wait_for_selector(".ssl-piece canvas")
    options = opened.page.locator("select >> nth=2").locator("option").all_inner_texts()
    assert options == ["right and wrong", "classes"]
    assert opened.errors == []


def test_a_slider_goes_through_every_slice_of_the_scans_that_are_whole(page, predictions) -> None:
    """Colours against the library's judgement of that slice; a scan with one slice says so."""
    cases, truths = cases_and_truths()
    assert "The median, worst and best scan of " + row_name("bcp") in page.inner_text(".ssl-piece")
    name = next(iter(dice_of(predictions, "bcp")))
    page.click(".ssl-piece button:text-is('Worst')")
    slider = page.locator(".ssl-piece input[type=range]")
    case = next(case for case in cases if case.case_id == name)
    axis = slicing_axis([case.image])
    depth = case.image.shape[axis]
    assert slider.get_attribute("max") == str(depth - 1)
    start = choose_slice(case.image, truths[name], axis).index
    assert slider.input_value() == str(start)
    different = set()
    for at in (0, start + 1, depth - 1):
        slider.fill(str(at))
        assert f"{name}, slice {at + 1} of {depth}" in said(page)
        assert slider.get_attribute("aria-valuetext") == f"{at + 1} of {depth}"
        cut = Slice(axis, at)
        label, truth = cut.of(predictions["bcp"][name]), cut.of(truths[name])
        script = CENTRES.replace("SHAPE", str(list(label.shape)))
        red, _, blue, _ = np.array(page.locator(".ssl-piece canvas").first.evaluate(script)).T
        shown = np.where(red == blue, 0, np.where(blue > red, 1, 2)).reshape(label.shape)
        np.testing.assert_array_equal(shown, judge(label, np.zeros(label.shape), truth))
        different.add(shown.tobytes())
    assert len(different) == 3
    page.locator(".ssl-piece svg[role=application]").press("ArrowRight")
    assert not slider.is_visible(), "the second worst of nine scans has one slice"
    assert violations(page) == [] and faults(page) == {}


def test_no_more_scans_are_whole_than_a_page_has_room_for(tmp_path, predictions, open_page) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(interactive.scans.__globals__, "ROOM_FOR_WHOLE", 0)
        file = write_page(tmp_path, predictions)
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    assert not page.locator(".ssl-piece input[type=range]").is_visible()
    assert "slice by slice" not in page.inner_text(".ssl-piece")


def test_grey_levels_arrive_nearly_as_they_were(page) -> None:
    grey = np.add.outer(np.arange(0, 120, 3), np.arange(0, 120, 4)).astype(np.uint8)
    script = f"""async (data) => {{
        const {{shape, values}} = await window["ssl-core-{version()}"].unpack(data);
        return [shape, [...values]];
    }}"""
    shape, values = page.evaluate(script, packed(Lossy(grey)))
    assert np.abs(np.reshape(values, shape) - grey.astype(float)).mean() < 3


def test_of_many_scans_the_first_ones_are_shown(tmp_path, predictions, open_page) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(interactive.scans.__globals__, "ROOM", 6_000)
        file = write_page(tmp_path, predictions)
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    shown = (page.locator(".ssl-piece svg path").count() - len(ROWS)) // len(ROWS)
    assert 1 < shown < COUNT - 1
    assert f"the first {shown} of {COUNT} test scans" in page.inner_text(".ssl-piece")


def test_a_row_without_a_prediction_is_refused(predictions) -> None:
    cases, truths = cases_and_truths()
    result = result_of(predictions, truths)
    with pytest.raises(InputError, match="at least one scan and the row dsaif"):
        interactive.scans(cases, truths, predictions, result, NAMES, row="dsaif", alt="Scans.")
    with pytest.raises(InputError, match="0 scans"):
        interactive.scans([], truths, predictions, result, NAMES, row="bcp", alt="Scans.")
