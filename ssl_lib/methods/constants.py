"""The tables of constants: paper, released code, and what `PROFILE=paper` does, line by line.

What is ours is looked up in the records and settings that a training uses, so that a table cannot
say one thing and a training do another. A line says "same" or why not; a line without either is an
error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ssl_lib.config import Settings, paper_settings
from ssl_lib.methods.published import DATA_SETS, PUBLISHED
from ssl_lib.training.method import Method, parameters_of
from ssl_lib.utils.errors import InputError

UNKNOWN = "not at hand"
"""Articles whose full text we could not read say nothing here."""


@dataclass(frozen=True)
class Constant:
    """One line: what the paper says, what the released code has, and where ours is looked up.

    `ours` is a dotted path (`settings.patch`, `schedule.decay`, `config.alpha`, `warm_up.beta`,
    `prepare.area`), or, after "=", a fact that no parameter holds. `why` is needed where ours is
    not what was released.
    """

    what: str
    paper: str
    released: Any
    ours: str
    why: str = ""
    data: tuple[str, ...] = DATA_SETS


@dataclass(frozen=True)
class Line:
    """A line of a table as it is shown."""

    data: str
    what: str
    paper: str
    released: str
    ours: str
    verdict: str


def constants_of(method: Method, data: str) -> list[Line]:
    """The table of one method on one data set.

    Raises `InputError` for a method without a table, and for a line that is neither the same nor
    explained.
    """
    if method.name not in TABLES:
        raise InputError(
            f"there is no table of constants for {method.name!r}", expected=", ".join(TABLES)
        )
    found = values_at_paper(method, data)
    shared = [one for one in _SHARED[data] if one.what not in OWN.get(method.name, ())]
    lines = [*TABLES[method.name], *shared]
    return [_line(one, data, found) for one in lines if data in one.data]


def values_at_paper(method: Method, data: str) -> dict[str, Any]:
    """Every parameter of a method's training in the profile `paper`, by its dotted path."""
    record = PUBLISHED[method.name, data]
    settings = record.changed(paper_settings(data), "paper")
    parts = {
        "config": {**parameters_of(method.step), **method.config, **record.config},
        "warm_up": {
            **parameters_of(method.warm_up), **method.warm_up_config, **record.warm_up_config
        },
        "prepare": {**method.prepare_config, **record.prepare_config},
        "settings": {name: getattr(settings, name) for name in asdict(settings)},
        "schedule": asdict(settings.schedule),
        "teaching": _teaching(settings),
    }  # fmt: skip
    return {f"{part}.{name}": value for part, held in parts.items() for name, value in held.items()}


def _teaching(settings: Settings) -> dict[str, Any]:
    """Where the weight of what is unlabelled has risen to its full size."""
    return {"full_at": round(settings.ramp * settings.schedule.iterations)}


def _line(constant: Constant, data: str, found: Mapping[str, Any]) -> Line:
    if constant.ours.startswith("="):
        ours: Any = constant.ours.removeprefix("=").strip()
    elif constant.ours in found:
        ours = found[constant.ours]
    else:
        raise InputError(f"no parameter is called {constant.ours!r}", where=constant.what)
    released = constant.released
    if isinstance(released, dict):
        released = released[data]
    same = _words(ours) == _words(released)
    if not same and not constant.why:
        raise InputError(
            f"{constant.what}: released {_words(released)}, ours {_words(ours)}",
            where=data,
            expected="the same, or a reason",
        )
    verdict = "same" if same else constant.why
    return Line(data, constant.what, constant.paper, _words(released), _words(ours), verdict)


def _words(value: Any) -> str:
    """A value as a table shows it."""
    if callable(value):
        return value.__name__
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return " x ".join(_words(item) for item in value)
    return {True: "yes", False: "no", None: "none"}.get(value, str(value)) if (
        value is None or isinstance(value, bool)) else str(value)  # fmt: skip


_la, _acdc = partial(Constant, data=("la2018",)), partial(Constant, data=("acdc",))
_Make = Callable[..., Constant]

NOBODY = "nothing was released for this data set"

_SHARED: Mapping[str, tuple[Constant, ...]] = {
    "la2018": (
        _la("network", "V-Net", "vnet", "settings.network"),
        _la("filters", "16", 16, "settings.width"),
        _la("patch", "112 x 112 x 80", (112, 112, 80), "settings.patch"),
        _la("window's stride", "18 x 18 x 4", (18, 18, 4), "settings.stride"),
        _la("scan turned and mirrored, then cropped", "turns, flips", "published",
            "settings.geometry"),
        _la("grey levels", "z-score of the scan", "as stored, z-score of the scan",
            "= as stored, z-score of the scan"),
        _la("optimiser", "SGD", "sgd", "schedule.optimiser"),
        _la("momentum", "0.9", "0.9", "= 0.9"),
        _la("unlabelled scans", "80 less the labelled", "80 less the labelled",
            "= 72 less the labelled",
            "the benchmark has no validation scans; 8 of its 80 are ours"),
        _la("arithmetic on a GPU", UNKNOWN, "float32", "= bfloat16 where safe",
            "faster; weights and losses are float32"),
        _la("last plane reached by a crop", UNKNOWN, "no", "= no"),
    ),
    "acdc": (
        _acdc("network", "U-Net", "unet", "settings.network"),
        _acdc("filters", "16", 16, "settings.width"),
        _acdc("patch", "256 x 256", (256, 256), "settings.patch"),
        _acdc("slice turned and mirrored (1/2) or rotated (1/4), then resized", "turns, flips",
              "published", "settings.geometry"),
        _acdc("rotation before the resizing", UNKNOWN, "yes", "= no",
              "slices are resized once; on a slice as wide as high it is the same"),
        _acdc("grey levels", "0 to 1, by volume", "as stored, 0 to 1 by volume",
              "= as stored, 0 to 1 by volume"),
        _acdc("optimiser", "SGD", "sgd", "schedule.optimiser"),
        _acdc("momentum", "0.9", "0.9", "= 0.9"),
        _acdc("arithmetic on a GPU", UNKNOWN, "float32", "= bfloat16 where safe",
              "faster; weights and losses are float32"),
    ),
}  # fmt: skip


def _checkpoint(la: str, acdc: str) -> tuple[Constant, Constant]:
    """Which weights are tested, on both data sets."""
    why = "no decision looks at test scans; what a choice on validation is worth stands beside"
    ours = "= the last ones", why
    return _la("tested weights", UNKNOWN, la, *ours), _acdc("tested weights", UNKNOWN, acdc, *ours)


_BY_TEST, _BY_VALIDATION = "best on the test list", "best on the validation list"
_ON_SLICES = _checkpoint("not recovered", _BY_VALIDATION)

_RATE = "the schedule of the benchmark's mean teacher: " + NOBODY


def _schedule(la: Mapping[str, Any], acdc: Mapping[str, Any], why: str = "") -> tuple:
    """Lines for the schedule, by the name of its fields; `why` where ACDC's is not released."""
    titles = {
        "iterations": "updates", "learning_rate": "learning rate", "decay": "decay",
        "weight_decay": "weight decay", "decay_over": "decay reaches its end after",
    }  # fmt: skip
    return tuple(
        make(titles[name], UNKNOWN, value, f"schedule.{name}", reason)
        for make, values, reason in ((_la, la, ""), (_acdc, acdc, why))
        for name, value in values.items()
    )


_TEACHER_LINES = (
    Constant("weight of the consistency", "0.1", 0.1, "settings.consistency_weight"),
    Constant("teacher's decay", "0.99", 0.99, "schedule.teacher_decay"),
    Constant("teacher's decay rises", UNKNOWN, True, "schedule.teacher_warm_up"),
    Constant("teacher averages statistics", UNKNOWN, False, "schedule.teacher_buffers"),
    Constant("warm-up with labels only", "none", 0, "settings.warm_up"),
    Constant("teacher's noise, cut off at twice that", UNKNOWN, "0.1", "= 0.1"),
    Constant("labelled and unlabelled in one pass", UNKNOWN, True, "config.released"),
    Constant("labelled in a batch", UNKNOWN, {"la2018": 2, "acdc": 12}, "settings.labelled_batch"),
    Constant(
        "unlabelled in a batch", UNKNOWN, {"la2018": 2, "acdc": 12}, "settings.unlabelled_batch"
    ),
)
_MT_SCHEDULE = _schedule(
    {"iterations": 6000, "learning_rate": 0.01, "decay": "steps", "weight_decay": 1e-4},
    {"iterations": 30000, "learning_rate": 0.01, "decay": "poly", "weight_decay": 1e-4},
)
_MT_RAMP = (
    _la("weight is full after", "6000 updates", 6000, "teaching.full_at"),
    _acdc("weight is full after", UNKNOWN, 30000, "teaching.full_at"),
    Constant("weight rises in steps of", UNKNOWN, 150, "settings.ramp_every"),
    _la("Dice", UNKNOWN, "dice_squared_foreground", "config.dice"),
    _acdc("Dice", UNKNOWN, "dice_squared_all", "config.dice"),
)

_WEAK = (
    *_MT_SCHEDULE,
    *_MT_RAMP[3:],
    *_ON_SLICES,
    Constant("labelled in a batch", UNKNOWN, {"la2018": 4, "acdc": 24}, "settings.labelled_batch"),
    Constant("warm-up", "none", 0, "settings.warm_up"),
)

_BCP = (
    *_checkpoint(_BY_TEST, _BY_VALIDATION),
    _la("pre-training", "2000", 2000, "settings.warm_up"),
    _acdc("pre-training", "10000", 10000, "settings.warm_up"),
    *_schedule(
        {"iterations": 15000, "learning_rate": 0.01, "decay": "steps", "weight_decay": 1e-4},
        {"iterations": 30000, "learning_rate": 0.01, "decay": "none", "weight_decay": 1e-4},
    ),
    _la("rate of the pre-training, constant", UNKNOWN, 0.01, "settings.warm_up_rate"),
    _la("momentum kept after it", UNKNOWN, False, "settings.keep_momentum"),
    _acdc("momentum kept after it", UNKNOWN, True, "settings.keep_momentum"),
    Constant("labelled in a batch", UNKNOWN, {"la2018": 4, "acdc": 12}, "settings.labelled_batch"),
    Constant(
        "unlabelled in a batch", UNKNOWN, {"la2018": 4, "acdc": 12}, "settings.unlabelled_batch"
    ),
    Constant("alpha", "0.5", 0.5, "config.alpha"),
    Constant("beta", "2/3", 2 / 3, "config.beta"),
    Constant("one mask for a batch", UNKNOWN, "yes", "= yes"),
    Constant("box never reaches the last plane", UNKNOWN, True, "config.exclusive"),
    Constant("... in the pre-training, too", UNKNOWN, True, "warm_up.exclusive"),
    Constant("halves of a batch are mixed", UNKNOWN, True, "config.halves"),
    Constant("teacher sees one half at a time", UNKNOWN, "yes", "= yes"),
    _la("Dice", UNKNOWN, "dice_linear", "config.dice"),
    _acdc("Dice", UNKNOWN, "dice_squared_bare", "config.dice"),
    Constant(
        "pre-training by two regions, weight 1", UNKNOWN, {"la2018": False, "acdc": True},
        "warm_up.regions",
    ),
    _acdc("background of the Dice masked", "no", "since October 2023", "= since October 2023"),
    Constant("largest component of each class", "yes", True, "config.components"),
    Constant("voxels touch by corners", UNKNOWN, "yes", "= yes"),
    Constant("strong appearance", "no", False, "config.strong"),
    Constant("teacher's decay", "0.99", 0.99, "schedule.teacher_decay"),
    Constant("teacher's decay rises", UNKNOWN, False, "schedule.teacher_warm_up"),
    _la("teacher averages statistics", UNKNOWN, False, "schedule.teacher_buffers"),
    _acdc("teacher averages statistics", UNKNOWN, True, "schedule.teacher_buffers"),
    Constant("start of the second stage", UNKNOWN, "best checkpoint", "= the last weights",
             "it was the best on the test list (LA) or the validation list (ACDC)"),
    _la("largest component at test", UNKNOWN, "yes", "= a second number",
        "the other methods' codes do not; the headline treats all alike"),
)  # fmt: skip

_ARTICLE = "notes of others on NIH pancreas; the article says nothing of this data set"
_UMCT = (
    *_checkpoint("not recovered", "not recovered"),
    Constant("first stage", UNKNOWN, 20000, "settings.warm_up"),
    Constant("its rate", UNKNOWN, 7e-3, "settings.warm_up_rate"),
    *_schedule(
        {"iterations": 5000, "learning_rate": 1e-3, "decay": "none", "weight_decay": 4e-5},
        {"iterations": 5000, "learning_rate": 1e-3, "decay": "none", "weight_decay": 4e-5},
    ),
    Constant("labelled in a batch", "4", 4, "settings.labelled_batch"),
    Constant("unlabelled in a batch", "16", 16, "settings.unlabelled_batch"),
    Constant("weight of the co-training", "0.2", 0.2, "config.weight"),
    Constant("dropout passes", UNKNOWN, 8, "config.passes"),
    Constant("weights of views", "1 / U", "1 / U", "= 1 / (U + 0.0001)", "U may be 0"),
    Constant("U for each", "sample or voxel, unclear", "voxel", "= voxel"),
    Constant("soft targets", "yes", "hard", "= soft", "the article's equation is soft"),
    Constant("normalisation in dropout passes", UNKNOWN, "not recovered", "= frozen",
             "then dropout alone makes the passes differ"),
    Constant("strong appearance", UNKNOWN, False, "config.strong"),
    Constant("network", "ResNet-18, made anisotropic", "not recovered", "= a small one",
             "no code was released; ours is small enough for a laptop"),
    Constant("kernels", "anisotropic, n x n x 1", "anisotropic", "= anisotropic"),
    Constant("first weights", "ImageNet, 2D ResNet-18", "none released", "= random",
             "no weights were released, and ours is another network"),
    Constant("patch and test windows", "96 x 96 x 96 (NIH pancreas)", "128 x 128 x 128",
             "= the benchmark's", _ARTICLE),
)  # fmt: skip

_UA_MT = (
    *_ON_SLICES,
    *_MT_SCHEDULE,
    *_MT_RAMP,
    *_TEACHER_LINES,
    Constant("dropout passes", "8", 8, "config.passes"),
    Constant("two copies of the patches in a pass", UNKNOWN, "yes", "= yes"),
    Constant("gate of ln 2 for any number of classes", UNKNOWN, True, "config.ln2"),
    Constant("target is a pass of its own", UNKNOWN, "yes", "= yes"),
    Constant("squared errors divided by twice the voxels", UNKNOWN, "yes", "= yes"),
)
_MT = (
    *_ON_SLICES,
    *_MT_SCHEDULE,
    *_MT_RAMP,
    *_TEACHER_LINES,
    _acdc("updates without consistency", UNKNOWN, 1000, "config.silent"),
)
_AAU = (
    *_checkpoint(_BY_VALIDATION, _BY_VALIDATION),
    *_schedule(
        {"iterations": 8000, "learning_rate": 0.1, "decay": "cosine", "weight_decay": 1e-4,
         "decay_over": 10000},
        {"iterations": 8000, "learning_rate": 0.1, "decay": "cosine"},
        _RATE,
    ),
    _la("weight is full after", UNKNOWN, 8000, "teaching.full_at"),
    _la("weight rises in steps of", UNKNOWN, 200, "settings.ramp_every"),
    _acdc("weight is full after", UNKNOWN, 8000, "teaching.full_at", _RATE),
    *_TEACHER_LINES,
    Constant("gamma", UNKNOWN, 1.0, "config.gamma"),
    Constant("U for each class", "no", True, "config.per_class"),
    Constant("autoencoder reads the winner", "no", True, "config.hard"),
    Constant("consistency on labelled patches, too", UNKNOWN, True, "config.everywhere"),
    Constant("consistency halved", "no", "yes", "= yes"),
    Constant("Dice", UNKNOWN, "dice_squared_foreground", "config.dice"),
    Constant("autoencoder reads class indices", UNKNOWN, True, "prepare.ordinal"),
    Constant("noise on them in its training", UNKNOWN, 0.1, "prepare.jitter"),
    Constant("its updates", UNKNOWN, 50000, "prepare.iterations"),
    Constant("its first loss is squared", UNKNOWN, True, "prepare.squares"),
    Constant("length of its code", UNKNOWN, 512, "prepare.latent",
             "512 is the abdomen's; the class that LA would have used has 128"),
    Constant("its layers", UNKNOWN, "V-Net without skips, 127 million weights",
             "= two strided convolutions and back", "small enough for a laptop; a network of "
             "127 million weights for label maps is another experiment"),
    Constant("its optimiser", UNKNOWN, "SGD 0.1, cosine", "= AdamW 0.004, cosine",
             "goes with its layers"),
    Constant("damage", UNKNOWN, "slice by slice", "= in the volume", "one code for slices and "
             "volumes"),
    Constant("noise on the code", UNKNOWN, "0.1 when teaching", "= none",
             "the same map would have another U each time; off in the released training"),
)  # fmt: skip

_TWO_D = "released for volumes; " + NOBODY
_DSAIF = (
    *_checkpoint(_BY_TEST, _BY_TEST),
    *_schedule(
        {"iterations": 15000, "learning_rate": 0.01, "decay": "poly", "weight_decay": 1e-4},
        {"iterations": 15000, "learning_rate": 0.01, "decay": "poly", "weight_decay": 1e-4},
    ),
    Constant("warm-up", UNKNOWN, 0, "settings.warm_up"),
    _la("labelled in a batch", UNKNOWN, 2, "settings.labelled_batch"),
    _acdc("labelled in a batch", UNKNOWN, 2, "settings.labelled_batch", _TWO_D),
    Constant("weight of the other's classes", UNKNOWN, 1.0, "config.weight"),
    Constant("weight is full after a share of", UNKNOWN, 0.4, "config.full_at"),
    Constant("weight rises in steps of", UNKNOWN, 150, "config.every"),
    Constant("both see the scan itself with probability", UNKNOWN, 0.5, "config.gate"),
    Constant("strong appearance", UNKNOWN, False, "config.strong"),
    _la("area T", UNKNOWN, 50, "prepare.area"),
    _acdc("area T", UNKNOWN, "50, for volumes", "prepare.area", _TWO_D),
    Constant("Dice", UNKNOWN, "all classes, squared", "= all classes, squared"),
    Constant("passes for labelled and unlabelled", UNKNOWN, "apart", "= apart"),
    Constant("filtered", UNKNOWN, "each crop", "= each scan, once",
             "a tree of the scan knows what a crop cuts off, and is grown once"),
    Constant("gamma", UNKNOWN, "filtered samples only", "= all samples, half of them changed",
             "increasing changes leave a tree's shape as it is"),
    Constant("brightness curves", UNKNOWN, "files not released", "= none",
             "increasing, so that they change levels and no tree's shape"),
    _la("second network's quarter turns", UNKNOWN, "filtered volumes only", "= none",
        "as released they act on the wrong axes of LA"),
    _acdc("second network's quarter turns", UNKNOWN, "filtered volumes only", "= none", _TWO_D),
    Constant("grey levels before filtering", UNKNOWN, "cut off to 256", "= rounded to 256",
             "cutting off darkens an unfiltered voxel by up to a level"),
)  # fmt: skip

TABLES: Mapping[str, tuple[Constant, ...]] = {
    "supervised_weak": _WEAK,
    "mean_teacher": _MT,
    "bcp": _BCP,
    "umct": _UMCT,
    "ua_mt": _UA_MT,
    "aau": _AAU,
    "dsaif": _DSAIF,
}
"""The lines that are a method's own, by its name; those of its data set follow."""

OWN: Mapping[str, tuple[str, ...]] = {"umct": ("network", "filters")}
"""Lines of the data sets that say nothing of a method, since it brings its own network."""
