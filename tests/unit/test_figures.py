"""Figures: described, in one look, the same slice and window for all, and nothing hidden."""

from __future__ import annotations

import base64
import io
import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot, rcParams
from matplotlib.colors import to_hex
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

from ssl_lib import figures
from ssl_lib.data.cohort import Case, seal
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.figures import style
from ssl_lib.figures.style import INK, on_dark, row_look
from ssl_lib.figures.ticks import round_ticks, set_round_ticks
from ssl_lib.figures.training import nested
from ssl_lib.methods import METHODS, ROW_NAMES
from ssl_lib.notebook.interactive.scans import _ticks
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.words import percent

NAMES = ("background", "square", "spot")


def label(shape, shift=0):
    result = np.zeros(shape, np.uint8)
    half = shape[0] // 2
    result[half - 1 : half + 1, 3 + shift : 9 + shift, 4:10] = 1
    result[half, 10 + shift : 12 + shift, 10:12] = 2
    return result


def case(name, shape, brightness=1.0, seen=True):
    truth = label(shape)
    noise = np.random.default_rng(0).normal(0, 0.1, shape)
    image = (brightness * truth + noise).astype(np.float32)
    return Case(name, name, image, (2.0, 1.0, 1.0), truth if seen else None)


@pytest.fixture(params=[(4, 16, 18), (1, 16, 18), (12, 20, 18)], ids=["stack", "slice", "volume"])
def cohort(request):
    shape = request.param
    groups = {"labelled": "l", "unlabelled": "u", "validation": "v", "test": "t"}
    return seal(
        **{g: [case(f"{n}{i}", shape, 1 + i) for i in range(3)] for g, n in groups.items()},
        name="toy",
        dimensions=2,
        class_names=NAMES,
        spacing_unit="mm",
        licence="-",
        citation="-",
    )


def truths(cohort):
    return {c.case_id: cohort.sealed.open(c.case_id, "final score") for c in cohort.test}


def texts(figure):
    """Every text that a reader sees in a figure."""
    figure.draw_without_rendering()
    found = [item.get_text() for item in figure.findobj(Text) if item.get_visible()]
    return "\n".join(text for text in found if text)


def grey_limits(figure):
    """The grey window of each scan in a figure."""
    images = [image for ax in figure.axes for image in ax.images if image.get_cmap().name == "gray"]
    return {image.get_clim() for image in images}


def test_cohort_grid_names_and_counts_its_rows_and_shares_one_window(cohort):
    figure = figures.cohort_grid(cohort, n=2)
    shown = texts(figure)
    for words in ("labelled\n3 scans", "unlabelled\n3 scans", "test\n3 scans", *NAMES[1:]):
        assert words in shown
    assert len(grey_limits(figure)) == 1
    assert len([ax for ax in figure.axes if ax.images]) == 6


@pytest.mark.parametrize("columns", [1, 4, 9])
@pytest.mark.parametrize("length", [3, 9, 60])
def test_cohort_grid_names_every_scan_and_no_name_runs_into_another(columns, length):
    shape = (1, 16, 18)
    names = [f"W{'m' * (length - 3)}_{n}" for n in range(columns)]
    cases = {
        group: [case(f"{group[0]}{name}", shape) for name in names]
        for group in ("labelled", "unlabelled", "validation", "test")
    }
    about = {"name": "toy", "class_names": NAMES, "spacing_unit": "mm", "licence": "-"}
    cohort = seal(**cases, **about, dimensions=2, citation="-")
    figure = figures.cohort_grid(cohort, n=columns)
    figure.draw_without_rendering()
    titles = [ax.title for ax in figure.axes if ax.images]
    shown = [
        one.case_id for group in ("labelled", "unlabelled", "test") for one in cohort.groups[group]
    ]
    for title, name in zip(titles, shown, strict=True):
        start, gap, end = title.get_text().partition("…")
        assert name.startswith(start) and name.endswith(end) and (gap or start == name)
        assert not gap or length > 9 or columns > 4
    boxes = [title.get_window_extent() for title in titles]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    for row in range(3):
        places = boxes[row * columns : (row + 1) * columns]
        assert all(one.x1 + 2 < two.x0 for one, two in pairwise(places))


def test_a_long_name_stays_in_the_column_of_its_scan():
    name = "the_first_scan_of_" * 5
    one, truth = case(name, (1, 16, 18)), {name: label((1, 16, 18))}
    figure = figures.prediction_grid([one], truth, {"bcp": truth, "aau": truth}, NAMES)
    figure.draw_without_rendering()
    box = figure.axes[0].xaxis.label.get_window_extent()
    assert box.x0 >= 0 and box.x1 < figure.axes[1].get_window_extent().x0
    assert "…" in figure.axes[0].get_xlabel()


def test_predictions_carry_the_dice_of_the_whole_scan(cohort):
    true = truths(cohort)
    predictions = {
        "supervised_few": {name: np.roll(t, 1, axis=1) for name, t in true.items()},
        "bcp": true,
        "all_empty": {name: t * 0 for name, t in true.items()},
    }
    figure = figures.prediction_grid(cohort.test[:2], true, predictions, NAMES)
    shown = texts(figure)
    square, spot = 5 / 6, 1 / 2  # a square of 6 rows and a spot of 2, both moved by one row
    assert f"Dice {(square + spot) / 2:.2f}" in shown
    assert "Dice 1.00" in shown and "Dice 0.00" in shown
    assert "Supervised, no\naugmentation" in shown and "All empty" in shown
    assert len(grey_limits(figure)) == 1


def test_an_undefined_dice_is_written_as_such():
    empty = Case("a", "a", np.zeros((1, 8, 8), np.float32), (1.0, 1.0, 1.0))
    blank = {"a": np.zeros((1, 8, 8), np.uint8)}
    assert "Dice nan" in texts(figures.prediction_grid([empty], blank, {"bcp": blank}, NAMES))


def test_augmentation_shows_every_draw(cohort):
    one = cohort.labelled[0]
    draws = [(one.image + k, np.roll(one.label, k, axis=-1)) for k in range(7)]
    figure = figures.augmentation_grid(draws, NAMES)
    assert len([ax for ax in figure.axes if ax.images]) == 7
    assert "original" in texts(figure) and len(grey_limits(figure)) == 1


def test_the_caption_of_rows_names_the_best_without_all_labels():
    runs = [result(seed, {**GAINS, "supervised_all": 0.2}) for seed in range(2)]
    said = figures.row_message(runs)
    assert "copy-paste (BCP)”: +0.030" in said and said.endswith("against “Strong baseline”.")
    some = figures.row_message(runs, rows=["supervised_strong", "supervised_few"])
    assert "BCP" not in some and "Of these rows" in some and "Of these rows" not in said


def test_of_two_classes_the_inner_one_has_its_border_on_top():
    for wall, pool in ((1, 2), (2, 1)):
        label = np.zeros((12, 12), np.uint8)
        label[2:10, 2:10], label[4:8, 4:8] = wall, pool
        ax = figures.new_figure(2).subplots()
        figures.overlay(ax, np.zeros((12, 12)), label)
        last = ax.collections[-1].get_edgecolor()[0]
        assert to_hex(last) == figures.class_colour(pool).lower()


def test_snapshots_separate_wrong_from_confidently_wrong(cohort):
    one = cohort.unlabelled[0]
    truth = cohort.sealed.open(one.case_id, "teaching picture")
    wrong = np.where(truth == 1, 2, truth).astype(np.uint8)
    frames = [
        {"iteration": 10, "label": truth * 0, "confidence": np.full(truth.shape, 100, np.uint8)},
        {"iteration": 20, "label": wrong, "confidence": np.full(truth.shape, 0.95)},
        {"iteration": 30, "label": truth, "confidence": np.full(truth.shape, 255, np.uint8)},
    ]
    shown = texts(figures.snapshot_strip(one, truth, frames))
    assert "right 0\xa0%, wrong 100\xa0%\nconfidently wrong 0\xa0%" in shown
    sure = (truth == 1).sum() / (truth > 0).sum()
    assert f"right {percent(1 - sure)}, wrong 0\xa0%\nconfidently wrong {percent(sure)}" in shown
    assert "right 100\xa0%, wrong 0\xa0%" in shown
    assert "iteration 20" in shown and "confidently wrong (at least 90\xa0% sure)" in shown


def test_verdicts_and_their_shares():
    truth = np.array([0, 0, 1, 1, 1], np.uint8)
    found = np.array([0, 1, 1, 0, 2], np.uint8)
    verdict = figures.judge(found, np.array([0.9, 0.95, 0.5, 0.3, 0.9]), truth)
    assert verdict.tolist() == [0, 3, 1, 2, 3]
    assert figures.verdict_shares(verdict) == (0.25, 0.75, 0.5)
    assert all(math.isnan(share) for share in figures.verdict_shares(verdict * 0))
    with pytest.raises(InputError, match="shape of the truth"):
        figures.judge(found, np.zeros(3), truth)


def training(rows=("supervised",)):
    history = [{"iteration": i, **dict.fromkeys(rows, 1 / i)} for i in range(1, 40)]
    return SimpleNamespace(history=history, validation=[(20, 0.5), (39, math.nan)])


def test_training_curves_show_each_loss_term_once():
    figure = figures.training_curves(
        {"supervised_few": training(), "mean_teacher": training(("supervised", "consistency"))}
    )
    shown = texts(figure)
    for words in ("loss: supervised", "loss: consistency", "validation Dice", "Mean teacher"):
        assert shown.count(words) == 1
    with pytest.raises(InputError, match="no training"):
        figures.training_curves({"bcp": SimpleNamespace(history=[], validation=[])})


def test_a_band_of_stored_seeds_stands_behind_the_validation_dice():
    def stored(seed, *dice):
        curve = [[20, dice[0]], [39, dice[1]]]
        return {"seed": seed, "rows": {"mean_teacher": {"validation_curve": curve}}}

    one = {"mean_teacher": training()}
    figure = figures.training_curves(one, [stored(0, 0.4, 0.5), stored(1, 0.6, 0.8)])
    assert figure.axes[1].get_xlabel() == "iteration\n(band: stored seeds)"
    (band,) = figure.axes[1].collections
    ends = band.get_paths()[0].get_extents()
    assert (ends.ymin, ends.ymax) == pytest.approx((0.4, 0.8))
    alone = figures.training_curves(one, [stored(0, 0.4, 0.5)])
    assert alone.axes[1].get_xlabel() == "iteration" and not alone.axes[1].collections


def result(seed, gains):
    rng = np.random.default_rng(seed)
    base = rng.normal(0.7, 0.05, 12)
    rows = {}
    for row, gain in gains.items():
        per_case = [
            {"id": str(i), "class": 1, "dice": value + gain, "hd95": 4.0 if i else math.nan}
            for i, value in enumerate(base)
        ]
        units = {"dice": "fraction", "hd95": "mm"}
        rows[row] = {"per_case": per_case, "units": units, "empty_predictions": 2}
    shared = {"dataset": "phantom", "cohort_hash": "h", "profile": "quick", "n_labelled": 4}
    return {**shared, "seed": seed, "rows": rows}


GAINS = {"bcp": 0.05, "own_method": 0.0, "supervised_strong": 0.02, "supervised_few": 0.0}


def test_rows_stand_in_their_order_with_paired_differences():
    runs = [result(seed, GAINS) for seed in range(2)]
    figure = figures.row_comparison(runs)
    labels = [text.get_text().replace("\n", " ") for text in figure.axes[0].get_yticklabels()]
    assert labels == [
        "Supervised, no augmentation",
        "Strong baseline",
        "Bidirectional copy-paste (BCP)",
        "Own method",
    ]
    shown = texts(figure)
    assert "+0.030 [+0.030, +0.030]" in shown and "−0.020 [−0.020, −0.020]" in shown
    assert "(4 empty)" in shown and "seeds 0, 1 from top to bottom" in shown


def test_one_test_scan_leaves_interval_and_bracket_away():
    one = result(0, GAINS)
    for row in one["rows"].values():
        row["per_case"] = row["per_case"][:1]
    shown = texts(figures.row_comparison([one]))
    assert "+0.030" in shown and "nan" not in shown and " to " not in shown
    assert "95 % interval" not in shown and "mean" in shown
    assert "mean, 95 % interval" in texts(figures.row_comparison([result(0, GAINS)]))


def test_scores_that_are_nearly_alike_have_different_numbers_on_the_axis():
    for values in ((0.0, 0.012), (0.0473, 0.047325), (0.99, 0.99), (0.9994, 1.0), (0.0, 0.0)):
        ticks, digits = round_ticks(*values)
        labels = {f"{tick:.{digits}f}" for tick in ticks}
        assert 1 < len(labels) == len(ticks) <= 4 and ticks == sorted(ticks), values
        assert ticks[0] <= min(values) and max(values) <= ticks[-1]
    assert round_ticks(0, 1) == ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 1)


def test_the_dots_of_nearly_equal_scores_have_readable_numbers():
    one = result(0, {"supervised_strong": 0.0, "bcp": 0.00002})
    for row in one["rows"].values():
        first = row["per_case"][0]["dice"]
        row["per_case"] = [{**entry, "dice": first} for entry in row["per_case"]]
    figure = figures.row_comparison([one])
    figure.canvas.draw()
    shown = [label for label in figure.axes[0].get_xticklabels() if label.get_text()]
    assert 1 < len({label.get_text() for label in shown}) == len(shown) <= 4
    boxes = sorted((label.get_window_extent() for label in shown), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert figure.axes[0].xaxis.get_offset_text().get_text() == ""


def test_the_interactive_dots_have_an_axis_within_0_and_1():
    for values in ([1.0, 1.0], [0.0], [0.99, 1.0], [None], [0.0473, 0.0474]):
        found, known = _ticks(values), [value for value in values if value is not None]
        ticks, digits = found["ticks"], found["digits"]
        assert 0 <= ticks[0] < ticks[-1] <= 1
        assert not known or ticks[0] <= min(known) <= max(known) <= ticks[-1]
        assert len({f"{tick:.{digits}f}" for tick in ticks}) == len(ticks)


def test_undefined_distances_are_counted_and_have_their_unit():
    figure = figures.row_comparison([result(0, GAINS)], score="hd95")
    assert "(1 undefined)" in texts(figure)
    assert "95HD (mm) of each test scan, lower is better" in texts(figure)


def test_a_comparison_without_results_says_what_to_do():
    with pytest.raises(InputError, match="run a notebook"):
        figures.row_comparison([])


def test_worth_in_labels_is_read_off_the_logarithmic_axis():
    numbers, means = [1, 4, 16], [0.4, 0.6, 0.8]
    assert figures.worth_in_labels(numbers, means, 0.5) == pytest.approx(2)
    assert figures.worth_in_labels(numbers, means, 0.7) == pytest.approx(8)
    assert figures.worth_in_labels(numbers, means, 0.3) == 1
    assert figures.worth_in_labels(numbers, means, 0.9) == math.inf
    assert figures.worth_in_labels([1, 2, 4], [0.4, math.nan, 0.6], 0.5) == pytest.approx(2)
    points = {1: [0.4], 4: [0.5, 0.7], 16: [0.8]}
    assert "worth 8 labelled scans" in texts(figures.label_curve(points, level=0.7, n_labelled=4))
    assert "worth at most 1" in texts(figures.label_curve(points, level=0.3, n_labelled=4))
    assert "more than 16" in texts(figures.label_curve(points, level=0.9, n_labelled=4))


def test_toys_name_their_lines():
    series = np.linspace(0, 1, 30)
    assert "decay 0.9, remembers about 10 steps" in texts(figures.ema_toy(series, {0.9: series}))
    ramps = {"Gaussian": series**2, "straight": series}
    assert "Gaussian" in texts(figures.ramp_curve(ramps, mark=10))


@pytest.mark.parametrize("axis", range(3))
def test_a_chosen_slice_lies_in_the_middle_half_of_the_organ(axis):
    for case in phantom_cohort(1, dimensions=3, max_scans=4).labelled:
        for label in (case.label, np.flip(case.label, axis)):
            cut = figures.choose_slice(label.astype(float), label)
            others = tuple(axis for axis in range(3) if axis != cut.axis)
            there = np.flatnonzero(label.any(axis=others))
            place = (cut.index - there[0]) / (there[-1] - there[0])
            assert 0.24 <= place <= 0.76
            classes = {len(np.unique(np.take(label, n, cut.axis))) for n in there}
            assert len(np.unique(cut.of(label))) >= max(classes) - 1


def test_the_chosen_slice_shows_most_classes_and_cuts_the_short_axis():
    truth = label((12, 20, 18))
    assert figures.choose_slice(truth.astype(float), truth) == figures.Slice(0, 6)
    assert figures.choose_slice(np.zeros((20, 18, 8))) == figures.Slice(2, 4)
    assert figures.slicing_axis([np.zeros((20, 18, 8)), np.zeros((7, 18, 9))]) == 2
    cut = figures.Slice(2, 4)
    assert cut.of(np.zeros((20, 18, 8))).shape == (18, 20)
    assert cut.aspect((1.0, 2.0, 5.0)) == 2.0
    assert figures.choose_slice(np.zeros((5, 6))).of(np.ones((5, 6))).shape == (5, 6)


def test_style_stays_inside_and_figures_are_unknown_to_pyplot(cohort):
    before = dict(rcParams)
    figures.cohort_grid(cohort, n=1)
    assert dict(rcParams) == before and pyplot.get_fignums() == []


def test_rows_look_alike_with_and_without_their_idea():
    with_idea, without = style.row_look("bcp"), style.row_look("bcp_ablation")
    assert with_idea["color"] == without["color"]
    assert with_idea["linestyle"] != without["linestyle"]


def test_marks_on_a_dark_page_wear_the_colours_of_its_charts() -> None:
    """What a browser makes of the filter invert(0.92) hue-rotate(180deg) brightness(1.3)."""
    looks = {colour: on_dark(colour) for colour in (INK, style.SKY, style.BLUE)}
    assert looks == {INK: "#ffffff", style.SKY: "#2990ca", style.BLUE: "#63dfff"}


def test_show_gives_picture_description_and_plain_text(monkeypatch):
    shown = []
    monkeypatch.setattr(style, "display", lambda data, **rest: shown.append((data, rest)))
    figure = figures.new_figure(height=2)
    figure.subplots().plot([0, 1])
    figures.show(figure, alt="A line\n  that rises.")
    data, rest = shown[0]
    assert data["text/plain"] == "A line that rises."
    assert rest["metadata"] == {"image/png": {"alt": "A line that rises.", "chart": True}}
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.width == round(style.WIDTH * style.DPI)
    with pytest.raises(InputError, match="alternative text"):
        figures.show(figure, alt=" ")


def test_show_closes_a_figure_of_pyplot(monkeypatch):
    monkeypatch.setattr(style, "display", lambda *data, **rest: None)
    figures.show(pyplot.figure(), alt="Nothing.")
    assert pyplot.get_fignums() == []


def test_a_palette_keeps_the_house_colours():
    ramp = np.linspace(0, 255, 200 * 300 * 3).reshape(200, 300, 3)
    pixels = (ramp + np.random.default_rng(0).integers(0, 40, ramp.shape)).clip(0, 255)
    pixels = pixels.astype(np.uint8)
    orange = tuple(bytes.fromhex(style.ORANGE[1:]))
    pixels[3, 3] = orange
    picture = Image.open(io.BytesIO(style.smaller_png(Image.fromarray(pixels))))
    assert picture.mode == "P"
    assert picture.convert("RGB").getpixel((3, 3)) == orange


def test_a_palette_keeps_dots_of_nearly_one_colour_apart():
    """Two rows, translucent: their dots differ by a little and cover few pixels of a scan."""
    ramp = np.linspace(0, 255, 200 * 300 * 3).reshape(200, 300, 3)
    pixels = (ramp + np.random.default_rng(0).integers(0, 40, ramp.shape)).clip(0, 255)
    pixels = pixels.astype(np.uint8)
    pixels[:5, :5], pixels[:5, 9:14] = (226, 170, 111), (222, 148, 131)
    picture = Image.open(io.BytesIO(style.smaller_png(Image.fromarray(pixels)))).convert("RGB")
    assert picture.getpixel((2, 2)) == (226, 170, 111)
    assert picture.getpixel((11, 2)) == (222, 148, 131)


def test_a_palette_keeps_a_dot_between_many_letters():
    """The edges of letters are greys that more pixels have than a translucent dot of one seed."""
    random = np.random.default_rng(0)
    greys = random.integers(0, 250, (200, 300, 1))
    rare = random.integers(0, 6, (200, 300, 3)) * (random.random(greys.shape) < 0.5)
    pixels = (greys + rare).astype(np.uint8)
    pixels[:8, :8] = dot = (222, 148, 131)
    picture = Image.open(io.BytesIO(style.smaller_png(Image.fromarray(pixels))))
    assert picture.mode == "P"
    assert picture.convert("RGB").getpixel((2, 2)) == dot


def test_gains_stand_over_their_number_of_labels():
    runs = [result(seed, GAINS) | {"n_labelled": n} for n in (4, 1) for seed in range(2)]
    figure = figures.gains_by_labels(runs, {"all of it": ("bcp", "supervised_strong")})
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "4"]
    points = ax.lines[1].get_ydata()
    assert points == pytest.approx([GAINS["bcp"] - GAINS["supervised_strong"]] * 2)


def looks(row: str) -> tuple[str, str]:
    look = style.row_look(row)
    return str(look["color"]), str(look["linestyle"])


def test_no_two_methods_wear_one_colour_and_one_dash() -> None:
    worn = [looks(row) for row in METHODS]
    assert len(set(worn)) == len(worn), sorted(zip(worn, METHODS, strict=True))


def test_no_two_rows_wear_one_colour_dash_and_marker() -> None:
    worn = [(*looks(row), style.row_marker(row)) for row in ROW_NAMES]
    assert len(set(worn)) == len(worn), sorted(zip(worn, ROW_NAMES, strict=True))


def test_a_row_and_the_same_with_another_parameter_share_their_colour() -> None:
    assert looks("bcp[alpha=0.3]")[0] == looks("bcp")[0] == looks("bcp_one_direction")[0]


def test_a_volume_says_which_slice_and_that_dice_is_of_all() -> None:
    image = np.random.default_rng(0).random((12, 10, 8)).astype(np.float32)
    truth = np.zeros(image.shape, np.uint8)
    truth[3:9, 3:7, 2:6] = 1
    case = Case("heart", "heart", image, (1.0, 1.0, 1.0))
    maps = {"heart": truth}
    shown = texts(figures.prediction_grid([case], maps, {"bcp": maps}, NAMES[:2]))
    cut = figures.choose_slice(image, truth)
    assert f"heart\nslice {cut.index + 1} of 8" in shown and "Dice 1.00\nof all slices" in shown
    assert figures.Slice(None).words((12, 10)) == figures.Slice(0).words((1, 10, 8)) == ""


def test_an_axis_says_what_is_counted():
    runs = [{**result(0, GAINS), "dataset": "acdc", "n_labelled": 3}]
    figure = figures.gains_by_labels(runs, {"BCP": ("bcp", "supervised_few")})
    assert figure.axes[0].get_xlabel() == "labelled patients"
    curve = figures.label_curve({1: [0.5], 3: [0.7]}, level=0.6, n_labelled=1, unit="patient")
    assert curve.axes[0].get_xlabel() == "labelled patients (logarithmic)"
    assert "worth 2 labelled patients" in [text.get_text() for text in curve.axes[0].texts]


def test_a_legend_takes_as_many_lines_as_it_needs():
    figure = style.new_figure(height=2, width=3)
    figure.subplots()
    names = ("right ventricle", "myocardium", "left ventricle", "removed")
    handles = [Patch(label=name) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    assert figure.legends[0].get_window_extent().width > figure.bbox.width
    style.to_image(figure)
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    assert [text.get_text() for text in legend.get_texts()] == list(names)


def test_curves_have_the_colours_of_all_other_figures_and_stay_apart() -> None:
    rows = ["supervised_strong", "dsaif_ablation", "dsaif_only_child", "dsaif"]
    looks = nested(rows)
    for row, look in looks.items():
        assert look.items() >= row_look(row).items(), row
    widths = [look["linewidth"] for look in looks.values()]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == len(rows)
    rimmed = [row for row, look in looks.items() if "path_effects" in look]
    assert rimmed == ["dsaif_only_child", "dsaif"], "those whose colour an earlier row has"


def test_an_axis_of_scores_has_three_numbers_at_least() -> None:
    ax = style.new_figure(height=2).subplots()
    ax.set_xlim(-0.04, 0.99)
    set_round_ticks(ax)
    shown = [text.get_text() for text in ax.get_xticklabels()]
    assert shown == ["0.0", "0.2", "0.4", "0.6", "0.8"]
