"""What `PROFILE=paper` changes: every method by its own released constants, on both benchmarks.

`PUBLISHED` holds one record for each method and data set: keyword arguments of its step, warm-up
and preparation, and settings that differ from those of the profile. Where nothing was released for
a data set, the record says what stands in (see `ssl_lib.methods.constants`, the tables).
`PROFILE=paper_equal` takes the same arguments with one schedule for all.

Sources: DeepMed-Lab-ECNU/BCP, yulequan/UA-MT, HiLab-git/SSL4MIS (ACDC), the AAU code for abdominal
CT, GuGuLL123/DSAIF-SEMI, and for UMCT, which has no code, the article and notes of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ssl_lib.training.losses import (
    DiceLoss,
    dice_linear,
    dice_squared_all,
    dice_squared_bare,
    dice_squared_foreground,
)
from ssl_lib.training.published import OURS, Published


DATA_SETS = ("la2018", "acdc")
"""The benchmarks with a published protocol."""


DICE: Mapping[str, DiceLoss] = {"la2018": dice_squared_foreground, "acdc": dice_squared_all}
"""The Dice of the supervised, mean teacher and UA-MT codes: UA-MT on LA, SSL4MIS on ACDC."""

# Schedules. The profile's own are those of bidirectional copy-paste, without a change.
_BENCHMARK: dict[str, dict[str, Any]] = {
    "la2018": {"warm_up": 0, "schedule.iterations": 6000},
    "acdc": {
        "warm_up": 0,
        "schedule.iterations": 30000,
        "schedule.decay": "poly",
        "schedule.teacher_buffers": False,
        "keep_momentum": False,
    },
}
_TEACHER = {
    "schedule.teacher_warm_up": True,
    "consistency_weight": 0.1,
    "ramp": 1.0,
    "ramp_every": 150,
}
_LABELS = {"la2018": {"labelled_batch": 4}, "acdc": {"labelled_batch": 24}}
_HALVES = {
    "la2018": {"labelled_batch": 2, "unlabelled_batch": 2},
    "acdc": {"labelled_batch": 12, "unlabelled_batch": 12},
}
_AAU_LA = {
    "schedule.iterations": 8000,
    "schedule.learning_rate": 0.1,
    "schedule.decay": "cosine",
    "schedule.decay_over": 10000,
    "ramp_every": 200,
}
_DSAIF = {"schedule.iterations": 15000, "schedule.decay": "poly"}
_UMCT = {
    "warm_up": 20000,
    "warm_up_rate": 7e-3,
    "schedule.iterations": 5000,
    "schedule.learning_rate": 1e-3,
    "schedule.decay": "none",
    "schedule.weight_decay": 4e-5,
    "schedule.teacher_buffers": False,
    "keep_momentum": False,
    "labelled_batch": 4,
    "unlabelled_batch": 16,
}


def _supervised(data: str, **settings: Any) -> Published:
    """The papers' rows with labels only."""
    dice = {"dice": DICE[data]}
    chosen = {**_BENCHMARK[data], **_LABELS[data], **settings}
    return Published(config=dice, warm_up_config=dice, settings=chosen)


def _weak(record: Published) -> Published:
    """A row of the supervised step without its strong augmentation."""
    weak = {"strong": False}
    config, warm_up = {**record.config, **weak}, {**record.warm_up_config, **weak}
    return replace(record, config=config, warm_up_config=warm_up)


def _mean_teacher(data: str, more: Mapping[str, Any], **config: Any) -> Published:
    """A mean teacher as released, with labels only in a warm-up if there is one."""
    return Published(
        config={"released": True, "dice": DICE[data], **config},
        warm_up_config={"strong": False, "dice": DICE[data]},
        settings={**_BENCHMARK[data], **_TEACHER, **_HALVES[data], **more},
    )


def _bcp(data: str, **config: Any) -> Published:
    """Bidirectional copy-paste, for which the profile's settings were made."""
    dice = {"la2018": dice_linear, "acdc": dice_squared_bare}[data]
    shared = {"strong": False, "halves": True, "dice": dice, "exclusive": True}
    warm_up = {**shared, "beta": 2 / 3, "regions": data == "acdc"}
    return Published({"alpha": 0.5, "beta": 2 / 3, **shared, **config}, warm_up)


def _pretraining(data: str) -> Published:
    """Its first stage in both stages: copy-paste among the labelled, and no unlabelled scan."""
    record = _bcp(data)
    return replace(record, config=record.warm_up_config)


def _aau(data: str) -> Published:
    """AAU; on ACDC, for which nothing was released, in the schedule of the mean teacher there."""
    record = _mean_teacher(
        data,
        _AAU_LA if data == "la2018" else {},
        everywhere=True,
        gamma=1.0,
        per_class=True,
    )
    trained = {"squares": True, "jitter": 0.1, "iterations": 50000, "ordinal": True, "latent": 128}
    config = {**record.config, "dice": dice_squared_foreground}
    return replace(record, config=config, prepare_config=trained)


def _two_networks(data: str, **prepare: Any) -> Published:
    """DSAIF and, without filters, cross pseudo supervision with its weight and schedule."""
    return Published(
        config={"strong": False, "gate": 0.5, "weight": 1.0, "full_at": 0.4, "every": 150},
        warm_up_config={"strong": False},
        prepare_config=prepare,
        settings={**_BENCHMARK[data], **_HALVES[data], **_DSAIF},
    )


def _umct(**config: Any) -> Published:
    """UMCT, by the article and by others' notes on it, on data that it was not tried on."""
    weak = {"strong": False, "strong_labelled": False}
    return Published(
        {**weak, "passes": 8, "weight": 0.2, "batch_statistics": False, **config},
        {"strong": False},
        settings=_UMCT,
    )


def _records(data: str) -> dict[str, Published]:
    pair = {**_two_networks(data).settings, **OURS}
    return {
        "supervised_few": _supervised(data, geometry="unmoved"),
        "supervised_weak": _supervised(data),
        "supervised_strong": _supervised(data, **OURS),
        "supervised_all": _weak(_supervised(data)),
        "mean_teacher": _mean_teacher(data, {}, silent=1000 if data == "acdc" else 0),
        "bcp_pretraining": _pretraining(data),
        "bcp_ablation": _bcp(data, beta=0.0),
        "bcp_one_direction": _bcp(data, directions=("inward",)),
        "bcp": _bcp(data),
        "umct_views_supervised": replace(_umct(), config={"strong": False}),
        "umct_two_views": _umct(),
        "umct_ablation": _umct(power=0.0),
        "umct": _umct(power=1.0),
        "umct_six_views": _umct(),
        "ua_mt": _mean_teacher(data, {}, passes=8, ln2=True),
        "aau": _aau(data),
        "supervised_pair": Published(settings=pair),
        "dsaif_ablation": _two_networks(data),
        "dsaif_only_child": _two_networks(data, area=1),
        "dsaif_same_tree": _two_networks(data, area=50),
        "dsaif_blur": _two_networks(data, area=50),
        "dsaif": _two_networks(data, area=50),
    }


PUBLISHED: Mapping[tuple[str, str], Published] = {
    (name, data): record for data in DATA_SETS for name, record in _records(data).items()
}
"""What each method changes on each data set, by (method, data set)."""


def published_for(name: str) -> dict[str, Published]:
    """The records of one method by data set; {} for a method that nobody published."""
    return {data: PUBLISHED[name, data] for data in DATA_SETS if (name, data) in PUBLISHED}
