"""A study: one cohort, one profile, one seed, and the trainings on it.

All rows of a table are trained by `Study.train`: the same warm-up with labels only, the same number
of updates, the same network and start. A run is stored under a key made from everything that
decides its outcome (cohort, settings, method, parameters, seed, version of the recipe), so that a
baseline is trained once and found again by every notebook, and a killed run continues.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssl_lib.config import Settings, best_device, overridden, settings_for
from ssl_lib.data.cohort import Case, Cohort
from ssl_lib.data.grid import training_scans
from ssl_lib.data.load import open_cohort
from ssl_lib.evaluation.components import largest_components
from ssl_lib.evaluation.metrics import mean_dice, nan_mean
from ssl_lib.evaluation.results import (
    build_result,
    read_rows,
    same_patient,
    score_cohort,
    write_result,
)
from ssl_lib.inference import common_grid, predict_cohort, predict_probabilities
from ssl_lib.models.ensemble import Ensemble, Networks
from ssl_lib.models.networks import build_network, to_channels_last
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training.batches import AuxiliaryChannels, TwoStreams, derived_seed
from ssl_lib.training.loop import Schedule, Step, Training, Watch, fit
from ssl_lib.training.method import Method, Prepared
from ssl_lib.training.published import as_published
from ssl_lib.training.run_key import (
    arrays_hash,
    changed_fields,
    other_texts,
    step_identity,
    weights_hash,
)
from ssl_lib.utils.errors import InputError

Build = Callable[["Study", int], nn.Module]


@dataclass(frozen=True)
class Study:
    """One cohort with the settings, the seed and the device that all its rows share."""

    cohort: Cohort
    settings: Settings
    profile: str
    seed: int
    device: torch.device
    runs_dir: Path | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise InputError(
                f"the seed is {self.seed!r}", where="SEED", expected="a whole number from 0"
            )

    @classmethod
    def open(
        cls,
        dataset: str,
        profile: str,
        n_labelled: int,
        seed: int,
        *,
        labelled_draw: int = 0,
        data_dir: str | Path | None = None,
        runs_dir: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Study:
        """Load the cohort and the profile's settings; runs are stored below `runs_dir`.

        Downloaded data lie in `data_dir` (default: `$SSL_DATA_DIR`, else the folder data).
        `labelled_draw` is which training scans are labelled (see `Cohort.with_draw`).

        `overrides` replaces settings by dotted names, `{"schedule.learning_rate": 0.01}`; the rows
        then carry them in their names, and are others than the profile's.

        Raises `InputError` for an unknown dataset or profile, too many labelled scans, or a seed
        that is no whole number from 0.
        """
        cohort = open_cohort(dataset, profile, n_labelled, data_dir).with_draw(labelled_draw)
        if not cohort.unlabelled:
            raise InputError(
                f"with {n_labelled} labelled scans no unlabelled one is left",
                where=dataset,
                expected="at least one unlabelled scan to learn from",
                fix="set N_LABELLED to a smaller number, or add scans without a label map",
            )
        runs = None if runs_dir is None else Path(runs_dir)
        study = cls(cohort, settings_for(profile, cohort), profile, seed, best_device(), runs)
        return study.with_overrides(overrides or {})

    def with_overrides(self, overrides: Mapping[str, Any]) -> Study:
        """The same study with some settings replaced; see `open`."""
        changes = tuple(sorted({**dict(self.changes), **overrides}.items()))
        return replace(self, settings=overridden(self.settings, overrides), changes=changes)

    def for_method(self, method: Method) -> tuple[Study, Method]:
        """The study and the method as a row is trained: with the study's changed settings in the
        row's name, and as published where the profile says so."""
        study, method = as_published(self, method)
        changes = tuple(sorted({*method.changes, *self.changes}))
        return study, replace(method, changes=changes)

    def with_all_labels(self) -> Study:
        """The same study with every training label opened: the reference row only."""
        return replace(self, cohort=self.cohort.with_all_labels())

    def with_labels(self, n_labelled: int) -> Study:
        """The same study with the first `n_labelled` training scans (or patients) labelled."""
        return replace(self, cohort=self.cohort.with_labels(n_labelled))

    def with_draw(self, draw: int) -> Study:
        """The same study with other training scans labelled; see `Cohort.with_draw`."""
        return replace(self, cohort=self.cohort.with_draw(draw))

    def network(self, member: int = 0) -> nn.Module:
        """A fresh network on the device; `member` numbers the networks of a method with several."""
        network = build_network(
            self.settings.network,
            dimensions=self.cohort.dimensions,
            n_classes=self.cohort.n_classes,
            width=self.settings.width,
            channels=self.cohort.n_channels,
            seed=derived_seed(self.seed, "weights", member),
        )
        return to_channels_last(network, self.cohort.dimensions).to(self.device)

    def train(self, method: Method) -> Training:
        """Train one row: its warm-up with labels only, then its step, both with one schedule.

        A mean teacher starts as a copy of the warmed-up student, and the snapshots show its
        pseudo-label of one unlabelled scan. Of several networks each was warmed up alone, as
        `student`, from its own weights and on its own batches. Either way the unlabelled batch is
        drawn in the second stage.
        """
        method.refuse_channels(self.cohort.channel_names)
        if method.all_labels:
            return self.with_all_labels().train(replace(method, all_labels=False))
        study, method = as_published(self, method)
        if study.settings != self.settings:
            return study.train(method)
        prepared = method.prepare(self, **method.prepare_config) if method.prepare else Prepared()
        count = prepared.networks if method.prepare else method.networks
        settings, (step, warm_up) = self.settings, method.bound()
        texts = other_texts(method)
        title = f"{method.label} (edited)" if "edited" in texts else method.label
        starts = [self._warm_up(title, warm_up, i, prepared.build) for i in range(count)]
        students = tuple(start.networks.student for start in starts)
        teacher = make_teacher(students[0]) if method.teacher else None
        networks = Networks(students, teacher, prepared.frozen)
        done = self._fit(
            title,
            step,
            settings.schedule,
            networks,
            unlabelled=settings.unlabelled_batch if len(networks.changing) > 1 else 0,
            auxiliary=prepared.auxiliary,
            momentum=starts[0].optimiser if count == 1 else None,
        )
        start = starts[0]
        done.labels_used = self.cohort.n_labelled
        done.config = {**method.recorded(), **texts}
        done.settings = settings
        done.seconds += sum(start.seconds for start in starts)
        done.history = join(start.history, done.history, settings.warm_up)
        done.snapshots = join(start.snapshots, done.snapshots, settings.warm_up)
        done.validation = start.validation + _later(done.validation, settings.warm_up)
        done.test_curve = start.test_curve + _later(done.test_curve, settings.warm_up)
        _remember_geometry(done)
        return done

    def rows(self, method: Method) -> dict[str, Training]:
        """Train a method and give its rows by name: itself, and where the record says so the mean
        of its networks' probabilities."""
        study, method = self.for_method(method)
        done = study.train(method)
        averaged = {f"{method.label}_ensemble": self.ensemble(done)} if method.averaged else {}
        return {method.label: done, **averaged}

    def pretrain(
        self,
        name: str,
        step: Step,
        network: nn.Module,
        *,
        validate: Callable[[nn.Module], float] | None = None,
        **schedule: Any,
    ) -> Training:
        """Train any other module on labelled batches; the step sees it as `student`.

        `validate` scores it for the curve; `schedule` overrides the method's (`iterations`,
        `learning_rate`, ...). Found again by content, the module's first weights included.
        """
        watch = Watch(validate=validate, times=self.settings.looks)
        own = replace(self.settings.schedule, **schedule)
        return self._fit(name, step, own, Networks((network.to(self.device),)), watch=watch)

    def ensemble(self, training: Training) -> Training:
        """The same training, tested as the mean of its members' probabilities."""
        return self._tested_as(training, Ensemble(training.networks.students))

    def score(self, training: Training) -> dict[str, Any]:
        """The row of a result file: last weights on the test scans, the same with the largest part
        of each class alone (`largest_component`), and the validation curve."""
        student, settings = training.networks.student, training.settings or self.settings
        predicted = self.predict(student, self.cohort.test)
        row = score_cohort(predicted, self.cohort)
        cleaned = {
            name: largest_components(label, self.cohort.n_classes)
            for name, label in predicted.items()
        }
        best = max(training.validation, key=lambda pair: pair[1], default=(0, float("nan")))
        together = same_patient(self.cohort)
        return {
            **row,
            **({"same_patient": together} if together else {}),
            "seconds": training.seconds,
            "iterations": settings.warm_up + settings.schedule.iterations,
            "labels_used": training.labels_used,
            "labelled_draw": self.cohort.labelled_draw,
            "largest_component": score_cohort(cleaned, self.cohort),
            **self._score_of_the_average(training, settings),
            **self._scores_of_selection(training),
            "config": training.config,
            "parameters": asdict(settings),
            "validation_best": {"iteration": best[0], "dice": best[1]},
            "validation_curve": [list(pair) for pair in training.validation],
        }

    def _score_of_the_average(self, training: Training, settings: Settings) -> dict[str, Any]:
        """The scores of the averaged weights, a second number, where the teacher averages the
        normalisation statistics too (bidirectional copy-paste on ACDC, at a constant rate)."""
        teacher = training.networks.teacher
        if teacher is None or not settings.schedule.teacher_buffers:
            return {}
        return {
            "averaged_weights": score_cohort(self.predict(teacher, self.cohort.test), self.cohort)
        }

    def _scores_of_selection(self, training: Training) -> dict[str, Any]:
        """What choosing a checkpoint is worth, where the test curve was asked for: the test scores
        of the weights that were best on validation, and the test Dice at every look, whose largest
        is an oracle. The row itself is that of the last weights."""
        if not training.test_curve or not training.best:
            return {}
        chosen = copy.deepcopy(training.networks.student)
        chosen.load_state_dict(training.best["weights"])
        row = score_cohort(self.predict(chosen, self.cohort.test), self.cohort)
        return {"best_on_validation": row, "test_curve": [list(p) for p in training.test_curve]}

    def save(
        self,
        notebook: str,
        dataset: str,
        rows: Mapping[str, Training],
        results_dir: str | Path,
        also: Sequence[str] = (),
        **more: Any,
    ) -> dict[str, Any]:
        """Score every row on the test scans, write the result file and return its content.

        A row trained with other labels (`with_all_labels`) is scored on the same test scans. The
        file names the rows of `also`, too, that another run has stored for this cohort, profile and
        seed. `more` are further keys of the file.
        """
        scored = self._stored(dataset, results_dir, also)
        scored |= {name: self.score(training) for name, training in rows.items()}
        result = self.result(notebook, dataset, scored, **more)
        write_result(result, results_dir)
        return result

    def _stored(
        self, dataset: str, results_dir: str | Path, names: Sequence[str]
    ) -> dict[str, Any]:
        """The stored rows of this cohort, profile and seed that have one of these names."""
        key = (dataset, self.profile, self.cohort.n_labelled, self.cohort.labelled_draw)
        return {
            name: row
            for run in (read_rows(results_dir, *key) if names else ())
            if run["cohort_hash"] == self.cohort.content_hash and run["seed"] == self.seed
            for name, row in run["rows"].items()
            if name in names
        }

    def result(
        self, notebook: str, dataset: str, scored: Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:
        """The content of a result file with rows that were scored (see `score`)."""
        return build_result(
            notebook=notebook,
            dataset=dataset,
            cohort=self.cohort,
            n_labelled=self.cohort.n_labelled,
            seed=self.seed,
            profile=self.profile,
            parameters=asdict(self.settings),
            rows=scored,
            seconds=time.monotonic() - self.started,
            device=self.device,
            **more,
        )

    def predict(self, network: nn.Module, cases: Sequence[Case]) -> Mapping[str, np.ndarray]:
        """Label maps (uint8) of some scans by case id."""
        return predict_cohort(network, cases, **self.inference_of(network))

    def probabilities(self, network: nn.Module, case: Case) -> Tensor:
        """Softmax (class, *space) of one scan, on the device."""
        options = self.inference_of(network)
        grid = common_grid(case.image.shape, case.spacing, options.pop("spacing"))
        return predict_probabilities(network, case.seen, **{**options, **grid})

    def validate(self, network: nn.Module) -> float:
        """Mean Dice over validation scans and foreground classes; undefined scores are left out."""
        predictions = self.predict(network, self.cohort.validation)
        dice = [
            mean_dice(predictions[case.case_id], case.label, n_classes=self.cohort.n_classes)
            for case in self.cohort.validation
            if case.label is not None
        ]
        return nan_mean(dice)

    def test_dice(self, network: nn.Module) -> float:
        """Mean Dice over test scans and foreground classes, for the test curve: an oracle."""
        predictions, scores = self.predict(network, self.cohort.test), []
        for case in self.cohort.test:
            truth = self.cohort.sealed.open(case.case_id, "test curve")
            predicted = predictions[case.case_id]
            scores.append(mean_dice(predicted, truth, n_classes=self.cohort.n_classes))
        return nan_mean(scores)

    @property
    def snapshot_case(self) -> Case | None:
        """The unlabelled scan of the snapshots: the first whose truth is known, else the first."""
        known = [case for case in self.cohort.unlabelled if case.case_id in self.cohort.sealed]
        return next(iter(known or self.cohort.unlabelled), None)

    def picture(self, networks: Networks) -> dict[str, Tensor]:
        """One snapshot: pseudo-label and its probability (0 to 255) of `snapshot_case`."""
        network = networks.student if networks.teacher is None else networks.teacher
        assert self.snapshot_case is not None
        confidence, label = self.probabilities(network, self.snapshot_case).max(0)
        return {"label": label.byte(), "confidence": (255 * confidence).round().byte()}

    def key(self, step: Step, *more: object) -> str:
        """A short name made of everything that decides how a training with `step` ends."""
        parts = {
            "cohort": self.cohort.content_hash,
            "settings": changed_fields(self.settings),
            "seed": self.seed,
            "step": step_identity(step),
            "device": self.device.type,
            "more": [repr(item) for item in more],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def training_scans(self) -> Cohort:
        """The labelled and unlabelled scans as the network sees them: slices on the common grid, or
        scans with voxels of the common size."""
        return training_scans(self.cohort, self.settings.grid, self.settings.spacing)

    @cached_property
    def _inference(self) -> dict[str, Any]:
        settings = self.settings
        whole = self.cohort.dimensions == 2
        return {
            "dimensions": self.cohort.dimensions,
            "device": self.device,
            "window": None if whole else settings.patch,
            "stride": settings.stride,
            "use_autocast": self.device.type == "cuda",
            "grid": settings.grid,
            "spacing": settings.spacing,
        }

    def inference_of(self, network: nn.Module) -> dict[str, Any]:
        """How a network is shown a scan: with the grey levels that it was trained on. Rows of one
        study may differ in that (see `ssl_lib.training.published`)."""
        geometry = getattr(network, "geometry", self.settings.geometry)
        return {**self._inference, "normalise": geometry == "ours"}

    def _warm_up(self, name: str, step: Step, member: int, build: Build | None) -> Training:
        """One network trained with labels only, from fresh weights."""
        network = build(self, member) if build else self.network(member)
        fresh = ("fresh", member) if member else ("fresh",)
        title = f"{name}: warm-up" + (f" {member + 1}" if member else "")
        schedule = self.settings.supervised_schedule
        return self._fit(title, step, schedule, Networks((network,)), stage=fresh)

    def _tested_as(self, training: Training, network: nn.Module) -> Training:
        """A training whose tested network is another one, with that one's validation Dice."""
        settings = training.settings or self.settings
        end = settings.warm_up + settings.schedule.iterations
        network.geometry = settings.geometry  # type: ignore[assignment]  # not in PyTorch's stubs
        validation = [(end, self.validate(network))]
        return replace(
            training,
            networks=Networks((network,)),
            validation=validation,
            best={},
            test_curve=[],
        )

    def _fit(
        self,
        name: str,
        step: Step,
        schedule: Schedule,
        networks: Networks,
        *,
        unlabelled: int = 0,
        stage: tuple[object, ...] = ("after",),
        auxiliary: AuxiliaryChannels | None = None,
        watch: Watch | None = None,
        momentum: Mapping[str, Any] | None = None,
    ) -> Training:
        """One stage, found again by content: its networks, as they start, are part of its name."""
        seed = derived_seed(self.seed, *stage)
        batches = TwoStreams(
            self.training_scans,
            patch=self.settings.patch,
            labelled=self.settings.labelled_batch,
            unlabelled=unlabelled,
            seed=seed,
            device=self.device,
            auxiliary=auxiliary,
            geometry=self.settings.geometry,
            margin=self.settings.margin,
            foreground=self.settings.foreground,
        )
        watch = watch or Watch(
            validate=self.validate,
            test=self.test_dice if self.settings.test_curve else None,
            picture=self.picture if self.snapshot_case is not None else None,
            times=self.settings.looks,
        )
        parts = [*stage, unlabelled, changed_fields(schedule), arrays_hash(auxiliary)]
        parts += [
            f"{key} {weights_hash(network)}" for key, network in sorted(networks.named.items())
        ]
        try:
            return fit(
                step,
                networks,
                batches,
                schedule=schedule,
                seed=seed,
                device=self.device,
                settings=self.settings,
                watch=watch,
                store=self.runs_dir and self.runs_dir / self.key(step, *parts),
                title=name,
                momentum=momentum,
                keep_momentum=self.settings.keep_momentum and stage[0] == "fresh",
            )
        finally:
            batches.close()


def _remember_geometry(training: Training) -> None:
    """Write onto each network whether it was trained on standardised patches."""
    for network in training.networks.changing.values():
        network.geometry = training.settings.geometry


def _later(curve: Sequence[tuple[int, float]], shift: int) -> list[tuple[int, float]]:
    """A curve whose iterations are counted from the start of the first stage."""
    return [(iteration + shift, value) for iteration, value in curve]


def join(
    first: list[dict[str, Any]], second: list[dict[str, Any]], shift: int
) -> list[dict[str, Any]]:
    """Two stages' histories (or snapshots) as one, iterations counted on."""
    return first + [{**row, "iteration": row["iteration"] + shift} for row in second]
