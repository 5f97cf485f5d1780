"""The surface of a prediction in 3D: distances and shares are the library's, and it is turned."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import violations
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.data.cohort import Case, Cohort
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.metrics import nan_mean, score_scan, surface_distances
from ssl_lib.figures.surfaces import (
    MOST_TRIANGLES,
    Surface,
    signed_distances,
    surface_net,
    surfaces_of,
)
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.page import MAX_BYTES, piece
from ssl_lib.utils.errors import InputError

ROWS = ("supervised_strong", "mean_teacher", "bcp")
pytestmark = pytest.mark.slow

Maps = dict[str, np.ndarray]


def ball(centre: tuple[float, ...], radius: float, spacing: tuple[float, ...]) -> np.ndarray:
    """The voxels of a box of 40 x 40 x 40 that lie in a ball; all in the unit of the spacing."""
    axes = [np.arange(round(40 / step)) * step for step in spacing]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return np.linalg.norm(grid - centre, axis=-1) <= radius


def example(dimensions: int) -> tuple[Cohort, Case, np.ndarray, Maps]:
    """A phantom, and predictions of three rows: moved, with an island, and without class 2."""
    cohort = phantom_cohort(2, dimensions=dimensions, max_scans=6)
    case = cohort.test[0]
    truth = cohort.sealed.open(case.case_id, "teaching picture")
    moved = np.roll(truth, 2, axis=1)
    island = np.roll(truth, 1, axis=2)
    island[1:3, 1:4, 1:4] = 1
    lost = np.where(truth == 2, 0, np.roll(truth, -1, axis=1)).astype(np.uint8)
    return cohort, case, truth, dict(zip(ROWS, (moved, island, lost), strict=True))


def write_page(folder: Path, dimensions: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(patch, lambda: interactive.surface(*example(dimensions), alt="Surfaces."))
    return write_piece_page(folder / "page.html", pieces)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return write_page(tmp_path_factory.mktemp("surface"), 3)


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Path:
    return write_page(tmp_path_factory.mktemp("stack"), 2)


@pytest.fixture
def page(file: Path, open_page) -> object:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    return page


def picture(page: object) -> str:
    """The first picture, when all that was asked for is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    return page.evaluate("document.querySelector('.ssl-piece canvas').toDataURL()")


def slide(page: object, number: int, value: int) -> None:
    script = "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }"
    page.locator(".ssl-piece input[type=range]").nth(number).evaluate(script, value)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("dimensions", [3, 2])
def test_it_is_whole_readable_and_quiet(request, dimensions: int, look: str, open_page) -> None:
    opened = open_page(
        request.getfixturevalue("file" if dimensions == 3 else "stack"), *LOOKS[look]
    )
    opened.page.wait_for_selector(".ssl-piece canvas")
    assert opened.page.locator(".stored").count() == 0
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])
    steps = "Slices keep their steps" in opened.page.inner_text(".ssl-piece")
    assert steps == (dimensions == 2)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.8)])
def test_distances_of_a_moved_ball_are_those_of_its_shift(spacing) -> None:
    shift, radius = np.array([0.0, 4.0, 0.0]), 10.0
    middle = np.array([20.0, 18.0, 20.0])
    truth, prediction = (ball(tuple(m), radius, spacing) for m in (middle, middle + shift))
    found = signed_distances(prediction, truth, spacing)
    np.testing.assert_array_equal(
        np.abs(found.signed), surface_distances(prediction, truth, spacing=spacing)[0]
    )
    ((one,),), _ = surfaces_of([prediction.astype(np.uint8)], 2, spacing)
    wanted = np.linalg.norm(one.vertices - middle, axis=1) - radius
    gap = found.at(one.vertices) - wanted
    assert np.abs(gap).max() <= np.linalg.norm(spacing)
    assert np.abs(gap).mean() <= 0.6 * max(spacing)
    along = (one.vertices - middle - shift)[:, 1] / radius
    for pole, wanted in ((along > 0.9, 4.0), (along < -0.9, -4.0)):  # a voxel is the resolution
        assert found.at(one.vertices)[pole].mean() == pytest.approx(wanted, abs=0.6 * max(spacing))


def test_a_surface_is_closed_in_place_and_no_larger_than_allowed() -> None:
    spacing = (2.0, 1.0, 0.8)
    mask = ball((19.0, 20.0, 18.0), 12.0, spacing)
    mask[1, 2:4, 2:4] = True  # an island of four voxels
    for label in (mask, np.random.default_rng(0).random(mask.shape) < 0.3):
        ((one,),), step = surfaces_of([label.astype(np.uint8)], 2, spacing)
        assert 0 < len(one.triangles) <= MOST_TRIANGLES
        edges = np.concatenate([one.triangles[:, [k, (k + 1) % 3]] for k in range(3)])
        both = [tuple(edge) for edge in np.concatenate([edges, edges[:, ::-1]])]
        assert all(both.count(edge) % 2 == 0 for edge in set(both[:300])), "it has a hole"
    ((one,),), step = surfaces_of([mask.astype(np.uint8)], 2, spacing)
    volume = mask.sum() * np.prod(spacing)
    assert step > 1 and volume_of(one) == pytest.approx(volume, rel=0.08)
    assert one.vertices[:, 2].min() < 3, "the island is lost"


def volume_of(one: Surface) -> float:
    """Positive if triangles are anticlockwise as seen from outside."""
    a, b, c = np.moveaxis(one.vertices[one.triangles], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def test_slices_of_a_stack_keep_their_steps() -> None:
    mask = ball((16.0, 20.0, 20.0), 9.0, (4.0, 1.0, 1.0)).astype(np.uint8)
    ((one,),), _ = surfaces_of([mask], 2, (4.0, 1.0, 1.0), stack=True)
    borders = one.vertices[:, 0] / 4 - 0.5
    np.testing.assert_allclose(borders, borders.round())
    field = np.zeros((3, 3, 3))
    field[1, 1, 1] = 1.0
    vertices, triangles = surface_net(field)  # a cube whose corners are drawn in
    assert (len(vertices), len(triangles)) == (8, 12)
    np.testing.assert_allclose(np.abs(vertices - 1), 1 / 6)


def test_scores_and_shares_are_those_of_the_library(page) -> None:
    cohort, case, truth, maps = example(3)
    n_classes, spacing = cohort.n_classes, case.spacing
    wide = int(page.get_attribute(".ssl-piece input[type=range] >> nth=0", "max"))
    clip = float(re.search(r"≥ ([\d.]+) mm", page.inner_text(".ssl-piece")).group(1))
    for place, found in enumerate(maps.values()):
        page.select_option("select >> nth=0", str(place))
        scores = score_scan(found, truth, n_classes=n_classes, spacing=spacing)
        for index in range(n_classes):
            page.select_option("select >> nth=2", str(index))
            these = [index] if index else range(1, n_classes)
            known = [k for k in these if (found == k).any()]
            for value in (0, 5, wide // 2, wide):
                slide(page, 0, value)
                picture(page)
                texts = page.locator(".ssl-piece .picture").first.locator("small").all_inner_texts()
                if not known:
                    assert "no distance" in texts[0] and texts[1] == ""
                    continue
                hd95 = nan_mean([scores[k - 1].hd95 for k in these])
                asd = nan_mean([scores[k - 1].asd for k in these])
                stated = [float(x) for x in re.findall(r"(?:95HD|ASD) ([\d.]+)", texts[0])]
                assert stated == pytest.approx([hd95, asd], rel=5e-3)
                far = [signed_distances(found == k, truth == k, spacing).signed for k in known]
                far, than = np.concatenate(far), value * clip / wide + 1e-6
                shares = [np.abs(far) > than, far > than, far < -than]
                wanted = [100 * share.mean() for share in shares]
                stated = [float(x) for x in re.findall("([\\d.]+)\u00a0%", texts[1])]
                assert stated == pytest.approx(wanted, abs=0.051)


def test_keys_mouse_and_finger_turn_it_and_reset_turns_it_back(page) -> None:
    page.focus(".ssl-piece canvas")
    start, seen = picture(page), []
    assert start == picture(page)
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.keyboard.press(key)
        seen.append(picture(page))
    box = page.locator(".ssl-piece canvas").first.bounding_box()
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] - 30)
    page.mouse.up()
    seen.append(picture(page))
    for name, by in (("pointerdown", 0), ("pointermove", 35), ("pointerup", 35)):
        event = {"pointerType": "touch", "pointerId": 1, "isPrimary": True, "bubbles": True}
        place = {"clientX": middle[0] + by, "clientY": middle[1]}
        script = """([name, event]) => { const c = document.querySelector('.ssl-piece canvas');
            c.setPointerCapture = () => {}; c.dispatchEvent(new PointerEvent(name, event)); }"""
        page.evaluate(script, [name, event | place])
    seen.append(picture(page))
    assert len({start, *seen}) == 6, "each of them changes the picture"
    page.click("text=Reset view")
    assert picture(page) == start


def test_pointing_says_the_distance_of_the_nearest_vertex(page) -> None:
    page.select_option("select >> nth=0", "0")
    picture(page)
    box = page.locator(".ssl-piece canvas").first.bounding_box()
    heard = set()
    for x in np.linspace(0.2, 0.8, 13):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + box["height"] / 2)
        heard.add(page.inner_text(".ssl-piece .readout"))
    read = [text for text in heard if text.startswith("Strong baseline, ")]
    values = {float(text.split(": ")[1].split(" mm")[0]) for text in read if " mm" in text}
    cohort, case, truth, maps = example(3)
    known = [
        signed_distances(maps[ROWS[0]] == k, truth == k, case.spacing).signed
        for k in range(1, cohort.n_classes)
    ]
    possible = {float(f"{value:.2f}") for value in np.abs(np.concatenate(known))}
    assert values and values <= {float(f"{value:.3g}") for value in possible}
    page.mouse.move(0, 0)
    assert page.inner_text(".ssl-piece .readout").startswith("Drag to turn")


def test_one_slice_and_too_many_rows_are_told(monkeypatch, capsys) -> None:
    cohort, case, truth, maps = example(2)
    with pytest.raises(InputError, match="4 rows"):
        interactive.surface(cohort, case, truth, {**maps, "umct": truth}, alt="Surfaces.")
    shown = []
    module = sys.modules[interactive.surface.__module__]
    monkeypatch.setattr(module, "show", lambda figure, alt: shown.append(alt))
    flat = Case(case.case_id, case.patient, case.image[:1], case.spacing)
    few = {name: found[:1] for name, found in maps.items()}
    interactive.surface(cohort, flat, truth[:1], few, alt="Surfaces.")
    assert shown == ["Surfaces."] and "one slice" in capsys.readouterr().out


def test_maps_full_of_noise_on_uneven_voxels_fit_a_page(monkeypatch) -> None:
    """A network that was hardly trained: nearly every voxel lies at a distance of its own."""
    cohort, _, _, _ = example(2)
    random = np.random.default_rng(0)
    truth, *maps = random.choice(cohort.n_classes, (4, 9, 150, 150), p=[0.7, 0.1, 0.1, 0.1]).astype(
        np.uint8
    )
    truth[:, 40:] = 0
    case = Case("noisy", "noisy", truth.astype(np.float32), (10.0, 1.5625, 1.5625))
    rows = dict(zip(ROWS, maps, strict=True))
    (made,) = shown_by(
        monkeypatch, lambda: interactive.surface(cohort, case, truth, rows, alt="Surfaces.")
    )
    content = re.search(r'<script type="application/json">.*?</script>', made)[0]
    picture = re.search(r'base64,([^"]*)"', made)[1]
    assert len(content) + len(picture) < MAX_BYTES


def test_a_figure_too_large_for_a_page_is_shown_as_a_picture(monkeypatch, capsys) -> None:
    module = sys.modules[piece.__module__]
    shown = []
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    monkeypatch.setattr(module, "show", lambda figure, alt: shown.append(alt))
    interactive.surface(*example(2), alt="Surfaces.")
    assert shown == ["Surfaces."] and "without controls" in capsys.readouterr().out
