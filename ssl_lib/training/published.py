"""`Published`: what a method changes, on one data set, to be trained as its authors released it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ssl_lib.config import PAPER_PROFILES, Settings, overridden
from ssl_lib.training.method import WARM_UP, Method
from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    from ssl_lib.training.study import Study


@dataclass(frozen=True)
class Published:
    """What a method changes on one data set to be trained as released.

    `config`, `warm_up_config` and `prepare_config` are keyword arguments of the method's step,
    warm-up and preparation; `settings` are fields of the settings, `schedule.NAME` those of the
    schedule (see `ssl_lib.config.overridden`).
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    warm_up_config: Mapping[str, Any] = field(default_factory=dict)
    prepare_config: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, settings: Settings, profile: str = "paper") -> Settings:
        """The profile's settings with this method's changes; of `paper_equal` only its geometry."""
        wanted = self.settings
        if profile == "paper_equal":
            wanted = {name: value for name, value in wanted.items() if name in GEOMETRY}
        return overridden(settings, wanted)

    def in_our_geometry(self) -> Published:
        """The same schedule with our affine map, strong appearance and standardised patches."""
        config = {k: v for k, v in self.config.items() if k not in _AS_RELEASED}
        warm_up = {k: v for k, v in self.warm_up_config.items() if k not in _AS_RELEASED}
        settings = {**self.settings, **OURS}
        return replace(self, config=config, warm_up_config=warm_up, settings=settings)


GEOMETRY = ("geometry", "margin")
"""Fields of the settings that a method keeps in `paper_equal`."""

OURS = {"geometry": "ours", "margin": 0.25}
_AS_RELEASED = ("strong", "strong_labelled", "released", "everywhere", "silent")


def as_published(study: Study, method: Method) -> tuple[Study, Method]:
    """A study and a method as the study's profile trains them: as released, in `paper` and
    `paper_equal`, on a data set with a published protocol; else as they are.

    Parameters and settings that somebody changed by hand (`Method.with_config`,
    `Study.with_overrides`) stay as changed. What was changed once is not changed by a second call.

    Raises `InputError` for a method of the library for which no protocol was published there.
    """
    record = method.published.get(study.cohort.name)
    if study.profile not in PAPER_PROFILES:
        return study, method
    if record is None and method.registered:
        raise InputError(
            f"the method {method.registered!r} has no published schedule here",
            where=f"PROFILE={study.profile}",
            expected="a profile of this repository, such as evening or gpu",
            fix="choose PROFILE=gpu, or leave the method out",
        )
    if record is None:
        return study, method
    by_hand = dict(method.changes)  # the geometry among them, which is no parameter of a step
    changed = replace(
        method,
        config={**method.config, **record.config, **_only(method.config, by_hand)},
        warm_up_config={
            **method.warm_up_config,
            **record.warm_up_config,
            **_only(method.warm_up_config, by_hand, WARM_UP),
        },
        prepare_config={
            **method.prepare_config,
            **record.prepare_config,
            **_only(method.prepare_config, by_hand),
        },
    )
    settings = overridden(record.changed(study.settings, study.profile), dict(study.changes))
    return replace(study, settings=settings), changed


def _only(config: Mapping[str, Any], values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of those parameters that the config holds; `prefix` stands before their names."""
    return {name: values[prefix + name] for name in config if prefix + name in values}
