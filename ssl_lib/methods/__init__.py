"""The registry: every method of this repository as one record.

Each method stands in its notebook; `make sync` writes `baselines`, `classic`, `bcp`, `umct`, `aau`,
`dsaif` and `newer` beside this file from the notebooks' `definition` cells. A table, a list, a
colour, a page or a benchmark is a view of `METHODS`: a new method is a notebook and a record here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ssl_lib.methods import aau, baselines, bcp, classic, dsaif, newer, umct
from ssl_lib.methods.published import published_for
from ssl_lib.training.method import Method
from ssl_lib.utils.names import base_row

__all__ = [
    "METHODS",
    "ROW_NAMES",
    "ablations",
    "base_row",
    "in_order",
    "is_exhibit",
    "row_name",
    "row_words",
]

BASELINES, CLASSIC, BCP, UMCT, AAU, DSAIF, NEWER = (
    "00_few_labels_many_scans",
    "00b_two_classic_methods",
    "01_bidirectional_copy_paste",
    "02_uncertainty_co_training",
    "03_anatomically_aware_uncertainty",
    "04_structure_aware_filtering",
    "08_newer_ideas",
)
_strong = baselines.supervised_step
_bcp: dict[str, Any] = {"warm_up": bcp.pretraining_step, "teacher": True, "notebook": BCP}
_umct: dict[str, Any] = {
    "warm_up": umct.views_supervised_step,
    "prepare": umct.prepare_views,
    "averaged": True,
    "notebook": UMCT,
}
_pair: dict[str, Any] = {
    "warm_up": _strong,
    "networks": 2,
    "averaged": True,
    "one_channel": True,
    "notebook": DSAIF,
}
_newer: dict[str, Any] = {"warm_up": _strong, "teacher": True, "notebook": NEWER}

_records = (
    Method(
        name="supervised_few",
        title="Supervised, no augmentation",
        step=baselines.supervised_plain_step,
        warm_up=baselines.supervised_plain_step,
        notebook=BASELINES,
    ),
    Method(
        name="supervised_weak",
        title="Weak baseline",
        step=baselines.supervised_weak_step,
        warm_up=baselines.supervised_weak_step,
        notebook=BASELINES,
    ),
    Method(
        name="supervised_strong",
        title="Strong baseline",
        step=_strong,
        warm_up=_strong,
        notebook=BASELINES,
    ),
    Method(
        name="mean_teacher",
        title="Mean teacher",
        step=baselines.mean_teacher_step,
        warm_up=_strong,
        teacher=True,
        ablation="supervised_strong",
        notebook=BASELINES,
    ),
    Method(
        name="bcp_pretraining",
        title="BCP's pre-training alone",
        step=bcp.pretraining_step,
        config={"beta": 2 / 3},
        warm_up=bcp.pretraining_step,
        warm_up_config={"beta": 2 / 3},
        notebook=BCP,
    ),
    Method(
        name="bcp_ablation",
        title="BCP without copy-paste",
        step=bcp.bcp_step,
        config={"alpha": 0.5, "beta": 0.0},
        warm_up_config={"beta": 2 / 3},
        **_bcp,
    ),
    Method(
        name="bcp_one_direction",
        title="BCP in one direction",
        step=bcp.bcp_step,
        config={"alpha": 0.5, "beta": 2 / 3, "directions": ("inward",)},
        warm_up_config={"beta": 2 / 3},
        **_bcp,
    ),
    Method(
        name="bcp",
        title="Bidirectional copy-paste (BCP)",
        step=bcp.bcp_step,
        config={"alpha": 0.5, "beta": 2 / 3},
        warm_up_config={"beta": 2 / 3},
        ablation="bcp_ablation",
        **_bcp,
    ),
    Method(
        name="umct_views_supervised",
        title="Anisotropic views, labels only",
        step=umct.views_supervised_step,
        **_umct,
    ),
    Method(
        name="umct_two_views",
        title="UMCT with two views",
        step=umct.umct_step,
        prepare_config={"count": 2},
        **_umct,
    ),
    Method(
        name="umct_ablation",
        title="UMCT without uncertainty",
        step=umct.umct_step,
        config={"power": 0.0},
        **_umct,
    ),
    Method(
        name="umct",
        title="Uncertainty co-training (UMCT)",
        step=umct.umct_step,
        config={"power": 1.0},
        ablation="umct_ablation",
        **_umct,
    ),
    Method(
        name="umct_six_views",
        title="UMCT with six views",
        step=umct.umct_step,
        prepare_config={"count": 6},
        **_umct,
    ),
    Method(
        name="ua_mt",
        title="Mean teacher with dropout entropy (UA-MT)",
        step=classic.ua_mt_step,
        warm_up=_strong,
        teacher=True,
        ablation="mean_teacher",
        notebook=CLASSIC,
    ),
    Method(
        name="aau",
        title="Anatomically aware uncertainty (AAU)",
        step=aau.aau_step,
        warm_up=_strong,
        prepare=aau.prepare_autoencoder,
        teacher=True,
        ablation="mean_teacher",
        notebook=AAU,
    ),
    Method(
        name="supervised_pair",
        title="Two supervised networks",
        step=dsaif.supervised_pair_step,
        **_pair,
    ),
    Method(
        name="dsaif_ablation",
        title="Cross pseudo supervision (CPS)",
        step=dsaif.dsaif_step,
        ablation="supervised_strong",
        **{**_pair, "notebook": CLASSIC},
    ),
    Method(
        name="dsaif_only_child",
        title="DSAIF, only children alone",
        step=dsaif.dsaif_step,
        prepare=dsaif.prepare_filtered,
        prepare_config={"area": 1},
        **_pair,
    ),
    Method(
        name="dsaif_same_tree",
        title="DSAIF, one filter for both networks",
        step=dsaif.dsaif_step,
        config={"same": True},
        prepare=dsaif.prepare_filtered,
        **_pair,
    ),
    Method(
        name="dsaif_blur",
        title="DSAIF, blurs instead of filters",
        step=dsaif.dsaif_step,
        prepare=dsaif.prepare_blurred,
        **_pair,
    ),
    Method(
        name="dsaif",
        title="Structure-aware filtering (DSAIF)",
        step=dsaif.dsaif_step,
        prepare=dsaif.prepare_filtered,
        ablation="dsaif_ablation",
        **_pair,
    ),
    Method(
        name="hard_labels_ablation",
        title="Hard pseudo-labels",
        step=newer.hard_label_step,
        config={"components": False},
        ablation="mean_teacher",
        **_newer,
    ),
    Method(
        name="hard_labels",
        title="Hard pseudo-labels, largest component",
        step=newer.hard_label_step,
        ablation="hard_labels_ablation",
        **_newer,
    ),
    Method(
        name="cw_bass",
        title="Confidence weights (CW-BASS)",
        step=newer.cw_bass_step,
        ablation="hard_labels_ablation",
        **_newer,
    ),
    Method(
        name="unimatch_ablation",
        title="One strong view (FixMatch)",
        step=newer.unimatch_step,
        config={"views": 1, "perturb": False},
        **_newer,
    ),
    Method(
        name="unimatch",
        title="Several strong views (UniMatch)",
        step=newer.unimatch_step,
        ablation="unimatch_ablation",
        **_newer,
    ),
    Method(
        name="tracoco_ablation",
        title="TraCoCo without translation",
        step=newer.tracoco_step,
        config={"alpha": 0.0, "beta": 0.0},
        **_newer,
    ),
    Method(
        name="tracoco",
        title="Translation consistency (TraCoCo)",
        step=newer.tracoco_step,
        ablation="tracoco_ablation",
        **_newer,
    ),
    Method(
        name="adawac_ablation",
        title="AdaWAC with equal weights",
        step=newer.adawac_step,
        config={"rate": 0.0},
        **_newer,
    ),
    Method(
        name="adawac",
        title="Adaptive weights (AdaWAC)",
        step=newer.adawac_step,
        ablation="adawac_ablation",
        **_newer,
    ),
    Method(
        name="soft_labels",
        title="Soft labels (cross-entropy and Dice)",
        step=newer.soft_label_step,
        ablation="mean_teacher",
        **_newer,
    ),
    Method(
        name="recommended",
        title="Recommended: consistency and soft labels",
        step=newer.soft_label_step,
        config={"soft": 0.3, "squared": 0.3},
        ablation="mean_teacher",
        **_newer,
    ),
    Method(
        name="supervised_all",
        title="Supervised, all labels",
        step=_strong,
        warm_up=_strong,
        all_labels=True,
        notebook=BASELINES,
    ),
)

METHODS: dict[str, Method] = {
    method.name: replace(method, published=published_for(method.name), registered=method.name)
    for method in _records
}
"""Every method by its name, in the order of all tables."""

AVERAGED = "_ensemble"
"""What the row of all networks' averaged probabilities adds to the method's name."""

ROW_NAMES: dict[str, str] = {
    **{
        row: title
        for method in _records
        for row, title in (
            (method.name, method.title),
            (method.name + AVERAGED, f"{method.title}, averaged"),
        )
        if row in METHODS or method.averaged
    },
    **{f"exhibit_{letter.lower()}": f"Exhibit {letter}" for letter in "ABCDEFGHI"},
}
"""What each row is called in tables and figures, in their order."""


def is_exhibit(row: str) -> bool:
    """True for a training that was spoilt on purpose: no method, and on no leaderboard."""
    return row.startswith("exhibit_")


def row_name(row: str) -> str:
    """What a row is called in tables and figures; an unknown row keeps its own name, readable.

    Changed parameters follow in brackets, those of the schedule by their name alone: "teacher decay
    0.97".
    """
    name, words = base_row(row), changed_words(row)
    title = ROW_NAMES.get(name, name.replace("_", " ").capitalize())
    return f"{title} ({words})" if words else title


def changed_words(row: str) -> str:
    """The parameters in which a row differs from its method, such as "soft 0.3, warm-up beta 0"."""
    changed = row.partition("[")[2].rpartition("]")[0]
    words = []
    for name, _, value in (one.partition("=") for one in changed.split(",") if one):
        group, _, own = name.rpartition(".")
        own = f"warm-up {own}" if group == "warm_up" else own
        words.append(f"{own.replace('_', ' ')} {value.removesuffix('.0')}")
    return ", ".join(words)


def row_words(row: str) -> str:
    """What a row is called within a sentence: names such as BCP or TraCoCo keep their capitals."""
    name = row_name(row)
    first = name.partition(" ")[0]
    return name if any(letter.isupper() for letter in first[1:]) else name[0].lower() + name[1:]


def in_order(rows: Iterable[str]) -> list[str]:
    """Rows in the order of all tables; another config follows its own row, unknown ones last."""
    order = {row: place for place, row in enumerate(ROW_NAMES)}
    return sorted(set(rows), key=lambda row: (order.get(base_row(row), len(order)), row))


def ablations() -> dict[str, str]:
    """For each method the row that shows what its idea adds."""
    return {method.name: method.ablation for method in _records if method.ablation}
