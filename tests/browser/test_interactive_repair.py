"""The autoencoder that runs in the page: it computes what PyTorch computes, and can be painted on
with mouse, finger and keyboard."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import violations
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS
from torch import nn

from ssl_lib.methods.aau import Autoencoder, distance
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.layers import flat_layers, run
from ssl_lib.notebook.interactive.page import packed, version
from ssl_lib.notebook.interactive.repair import MOST_WEIGHTS, page_layers
from ssl_lib.training.losses import one_hot
from ssl_lib.utils.errors import InputError

NAMES = ("background", "one", "two")
SIDE, DRAWS = 32, 2
pytestmark = pytest.mark.slow


def autoencoder(patch: tuple[int, ...] = (SIDE, SIDE), **options: object) -> Autoencoder:
    """One whose normalisation matters as after a training."""
    torch.manual_seed(0)
    network = Autoencoder(len(NAMES), patch, latent=16, width=8, **options).eval()
    for module in network.modules():
        if hasattr(module, "running_var"):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                values.data = 0.5 + torch.rand_like(values)
    return network


def random_maps(count: int, shape: tuple[int, ...] = (SIDE, SIDE)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, len(NAMES), (count, *shape)).astype(np.uint8)


def scans() -> dict[str, np.ndarray]:
    """Two scans with a square of each class, and damaged versions in which some pixels differ."""
    own = np.zeros((SIDE, SIDE), np.uint8)
    own[8:20, 8:20], own[12:16, 12:16] = 1, 2
    damaged = [np.where(random_maps(1)[0] == draw, draw, own) for draw in range(DRAWS)]
    maps = np.stack([own, *damaged]).astype(np.uint8)
    return {"first": maps, "second": maps[:, ::-1].copy()}


def mean_scores(label: np.ndarray, own: np.ndarray) -> tuple[str, str]:
    """Which share is undone, and mean U on and off the changed pixels, as the page says it."""
    layers = page_layers(autoencoder(), (len(NAMES), SIDE, SIDE))
    shown = one_hot(torch.from_numpy(label[None].copy()), len(NAMES))
    projection = run(layers, shown).sigmoid()
    back, score = projection.argmax(dim=1)[0].numpy(), distance(projection, shown)[0, 0].numpy()
    changed = label != own
    undone = f"{100 * (back == own)[changed].mean():.0f}\u00a0% of them undone"
    return undone, f"{score[changed].mean():.2f} changed, {score[~changed].mean():.2f} elsewhere"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        alt = "Paint and repair."
        pieces = shown_by(patch, lambda: interactive.repair(autoencoder(), scans(), NAMES, alt=alt))
    return write_piece_page(tmp_path_factory.mktemp("repair") / "page.html", pieces)


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece canvas")
    for button in ("Hole", "Blob"):
        opened.page.get_by_role("button", name=button).click()
    opened.page.locator("select").last.select_option("1")
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])


def test_the_page_computes_what_pytorch_computes(file: Path, open_page) -> None:
    layers = page_layers(autoencoder(), (len(NAMES), SIDE, SIDE))
    maps = random_maps(4)
    shown = one_hot(torch.from_numpy(maps), len(NAMES))
    script = f"""async ([layers, maps]) => {{
        const {{unpack, kinds, ui}} = window["ssl-core-{version()}"];
        const [known, asked] = [await unpack(layers), await unpack(maps)];
        return asked.shape[0] && [...Array(asked.shape[0]).keys()].map((k) => {{
            const label = ui.slice(asked, k).values, found = kinds.repair.repaired(known, label);
            const input = new Float32Array({len(NAMES)} * label.length);
            label.forEach((index, i) => {{ input[index * label.length + i] = 1; }});
            return [[...ui.forward(known, input)], [...found.back], [...found.uncertainty]];
        }});
    }}"""
    data = json.loads(json.dumps([[one.data() for one in layers], maps], default=packed))
    logits, back, scores = zip(*open_page(file).page.evaluate(script, data), strict=True)
    wanted = run(layers, shown)
    np.testing.assert_allclose(np.reshape(logits, wanted.shape), wanted, atol=1e-4)
    projection = wanted.sigmoid()
    score = distance(projection, shown)[:, 0]
    np.testing.assert_allclose(np.reshape(scores, score.shape), score, atol=1e-4)
    assert (np.reshape(back, maps.shape) == projection.argmax(dim=1).numpy()).mean() > 0.999


def test_layers_are_the_autoencoder_with_rounded_weights() -> None:
    network, maps = autoencoder(), one_hot(torch.from_numpy(random_maps(8)), len(NAMES))
    layers = page_layers(network, (len(NAMES), SIDE, SIDE))
    exact, found = network(maps), run(layers, maps)
    assert (found - exact).abs().mean() < 0.03 * exact.std()
    steps = {(one.kind, int(abs(one.steps).max())) for one in layers if one.steps is not None}
    assert steps == {("convolution", 127), ("linear", 31), ("transposed", 127)}


def test_what_is_painted_is_judged_by_the_methods_own_rules(file: Path, open_page) -> None:
    page = open_page(file).page
    own = scans()["first"][0]
    page.locator("input[type=range]").first.fill("3")
    page.locator("select").first.select_option("2")
    box = page.locator("canvas").first.bounding_box()
    size = box["width"] / SIDE
    page.mouse.move(box["x"] + 5.5 * size, box["y"] + 24.5 * size)
    page.mouse.down()
    page.mouse.move(box["x"] + 15.5 * size, box["y"] + 24.5 * size)
    page.mouse.up()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    under = [(rows - 24) ** 2 + (columns - at) ** 2 <= 9 for at in range(5, 16)]
    label = np.where(np.any(under, axis=0), 2, own).astype(np.uint8)
    undone, means = mean_scores(label, own)
    texts = page.locator(".picture > small")
    page.get_by_text(f"{(label != own).sum()} px changed").wait_for()
    assert texts.nth(1).inner_text().startswith(f"{undone}; ")
    assert texts.nth(2).inner_text() == f"mean U: {means}"
    assert "row 25, column 16: painted two" in page.locator(".readout").inner_text()


def test_keyboard_and_finger_paint(file: Path, open_page) -> None:
    page = open_page(file, has_touch=True).page
    counted = page.locator(".picture > small").first
    page.locator("canvas").first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.get_by_text(re.compile(r"^[1-9]\d* px changed")).wait_for()
    assert "row 17, column 21: painted one" in page.locator(".readout").inner_text()
    before = counted.inner_text()
    box = page.locator("canvas").first.bounding_box()
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + 0.9 * box["height"])
    page.locator(".picture > small").first.filter(has_not_text=before).wait_for()


def test_buttons_damage_and_reset(file: Path, open_page) -> None:
    page = open_page(file).page
    counted, maps = page.locator(".picture > small").first, scans()["first"]
    for draw in (1, 2, 1):
        page.get_by_role("button", name="Corrupt").click()
        page.get_by_text(f"{(maps[draw] != maps[0]).sum()} px changed", exact=True).wait_for()
    for button in ("Hole", "Blob"):
        page.get_by_role("button", name="Reset").click()
        page.get_by_text("nothing to undo yet").wait_for()
        page.get_by_role("button", name=button).click()
        page.get_by_text("of them undone").wait_for()
        assert counted.inner_text() != "0 px changed"


def test_what_cannot_run_in_a_page_is_said_and_shown_stored(capsys, monkeypatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("ssl_lib.figures.style.display", lambda data, **_: shown.append(data))
    for patch, options in (((16, 16, 16), {}), ((SIDE, SIDE), {"noise": 0.1})):
        network = autoencoder(patch, **options)
        interactive.repair(network, {"a": random_maps(3, patch)}, NAMES, alt="Repairs.")
        assert shown.pop()["text/plain"] == "Repairs."
        assert "Painting needs an autoencoder that runs in the page" in capsys.readouterr().out
    wide = Autoencoder(len(NAMES), (128, 128)).eval()
    assert sum(w.numel() for w in wide.parameters()) > MOST_WEIGHTS
    for network, why in (
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.GELU()), "GELU"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2)), "dilation"),
        (nn.Sequential(nn.BatchNorm2d(1)), "no layer with weights"),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1, affine=False)), "has no weights"),
        (nn.Sequential(nn.Linear(8, 8)), "not flat"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding="same")), "padding is a word"),
    ):
        with pytest.raises(InputError, match=why):
            flat_layers(network, (1, 8, 8))
    with pytest.raises(InputError, match="weights"):
        page_layers(wide, (len(NAMES), 128, 128))
