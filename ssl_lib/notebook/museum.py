"""Nine defects of one line, for the readers of notebook 07 to diagnose.

They are kept here and not in the notebook so that nobody reads the answer with the question. If you
mean to do the exercise, do not read on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from types import ModuleType

from ssl_lib.data.cohort import units_of
from ssl_lib.notebook.source import load_method
from ssl_lib.training.study import Study

MEAN_TEACHER = "00_few_labels_many_scans"
"""The notebook whose mean teacher is spoilt."""

Rig = Callable[[Study], Study]


@dataclass(frozen=True)
class Exhibit:
    """One defect: its name, the line as it should be and as it is, and how it gives itself away.

    `rig` is what becomes of the study when the defect is not in the method but in what it is given;
    `sound` and `broken` are then only shown. `found_by` names the test of notebook 07 that fails.
    """

    name: str
    sound: str
    broken: str
    hint: str
    because: str
    found_by: str
    rig: Rig | None = None

    def method(self) -> ModuleType:
        """The notebook's functions with the defect, if it is one of theirs."""
        change = None if self.rig else (self.sound, self.broken)
        return load_method(MEAN_TEACHER, change=change)

    def study(self, study: Study) -> Study:
        """The study with the defect, if it is one of its settings."""
        return self.rig(study) if self.rig else study


def _never_moving(study: Study) -> Study:
    schedule = replace(study.settings.schedule, teacher_decay=1.0)
    return replace(study, settings=replace(study.settings, schedule=schedule))


def _more_labels(study: Study) -> Study:
    """Three times as many labels, as after a list that was cut in the wrong place."""
    cohort = study.cohort
    everyone = units_of(cohort.labelled + cohort.unlabelled, cohort.unit)
    count = min(3 * cohort.n_labelled, len(everyone) - 1)
    labelled = study.with_labels(count).cohort.labelled
    known = {case.case_id for case in labelled}
    unlabelled = tuple(case for case in cohort.unlabelled if case.case_id not in known)
    return replace(study, cohort=replace(cohort, labelled=labelled, unlabelled=unlabelled))


EXHIBITS: dict[str, Exhibit] = {
    "A": Exhibit(
        name="the unlabelled batch is the labelled one",
        sound="two_views(batch.unlabelled, networks.teacher",
        broken="two_views(batch.images, networks.teacher",
        hint="Compare its validation Dice with the row that has no unlabelled scans at all.",
        because="A consistency loss that behaves, and no gain beyond the strong baseline: the two "
        "loaders were mixed up, and no unlabelled scan was ever seen.",
        found_by="unlabelled scans matter",
    ),
    "B": Exhibit(
        name="a softmax runs over the batch",
        sound="logits.float().softmax(dim=1) - target",
        broken="logits.float().softmax(dim=0) - target",
        hint="Read the scale of the consistency loss. What is the largest value it should have?",
        because="Student and teacher are compared in different units, so the loss rises with "
        "its ramp far above the others and stays there; its gradient still points roughly the "
        "right way.",
        found_by="agreement costs nothing",
    ),
    "C": Exhibit(
        name="the teacher never moves",
        sound="Schedule(..., teacher_decay=0.97)",
        broken="Schedule(..., teacher_decay=1.0)",
        hint="Play the snapshots: after the warm-up, what changes in the pseudo-label?",
        because="With a decay of 1 the average keeps its first value: but for its normalisation's "
        "statistics the snapshots stand still. The student learns from what it knew after the "
        "warm-up.",
        found_by="the teacher follows",
        rig=_never_moving,
    ),
    "D": Exhibit(
        name="the teacher sees another geometry than the student",
        sound="target = teacher(augmentation.standardise(moved))",
        broken="target = teacher(augmentation.standardise(unlabelled))",
        hint="Its consistency loss falls, and its Dice, too. What is agreed upon so cheaply?",
        because="The pseudo-label lies elsewhere than the organ, so the cheapest agreement is to "
        "say background where it matters: thin structures go first.",
        found_by="pseudo-labels lie on their view",
    ),
    "E": Exhibit(
        name="there are more labels than stated",
        sound="labelled = training_list[:N_LABELLED]",
        broken="labelled = training_list[: 3 * N_LABELLED]",
        hint="It differs from the others before the unlabelled scans come in.",
        because="Its warm-up is already another one: the labelled list was not cut where the table "
        "says. No curve looks ill. A result that is too good is a symptom, too.",
        found_by="labels are counted",
        rig=_more_labels,
    ),
    "F": Exhibit(
        name="the ramp is asked in the wrong unit",
        sound="gaussian_ramp(moment.iteration, settings",
        broken="gaussian_ramp(moment.iteration / moment.iterations, settings",
        hint="Look at the weighted consistency loss near the end of training.",
        because="A share of the training was handed over where iterations were expected, so the "
        "weight stays where it starts, near zero: this is the strong baseline, paid for twice.",
        found_by="the weight rises",
    ),
    "G": Exhibit(
        name="the teacher predicts with stale statistics",
        sound="target = teacher(augmentation.standardise(moved))",
        broken="target = teacher.eval()(augmentation.standardise(moved))",
        hint="It is the only one that gets steadily worse with its own pseudo-labels.",
        because="The averaged weights meet running statistics that were never averaged. The wrong "
        "pseudo-labels train the student, the student moves the teacher, and both drift off.",
        found_by="the teacher uses the batch's statistics",
    ),
    "H": Exhibit(
        name="the student is its own teacher",
        sound="two_views(batch.unlabelled, networks.teacher",
        broken="two_views(batch.unlabelled, networks.student",
        hint="Compare it with the sound training, curve by curve, then think of what is left.",
        because="On the phantom its losses and its Dice are hardly to be told from the sound "
        "training; only the snapshots are more restless. At this length the second view does the "
        "work, and the average of the weights little.",
        found_by="the teacher is asked",
    ),
    "I": Exhibit(
        name="the labels stay behind when their image moves",
        sound="    supervised = segmentation_loss(networks.student(images), labels)",
        broken="    supervised = segmentation_loss(networks.student(images), batch.labels)",
        hint="Look at the supervised loss, not at the consistency.",
        because="The image was turned, scaled and pasted into; its label was not. The supervised "
        "loss jumps up when the second stage begins, and never comes down.",
        found_by="labels move with their image",
    ),
}
"""By the letter on the label. The order is shuffled, once and for good."""


def answers() -> str:
    """HTML with one fold a letter: the defect, its line as it should be and as it is, and why the
    curves look as they do."""
    return "".join(_answer(letter, exhibit) for letter, exhibit in EXHIBITS.items())


def _answer(letter: str, exhibit: Exhibit) -> str:
    lines = f"- {exhibit.sound.strip()}\n+ {exhibit.broken.strip()}"
    return (
        f"<details><summary>Exhibit {letter}</summary>"
        f"<p><strong>{escape(exhibit.name.capitalize())}.</strong> {escape(exhibit.because)}</p>"
        f"<pre>{escape(lines)}</pre>"
        f"<p>Found by the test “{escape(exhibit.found_by)}”.</p></details>"
    )
