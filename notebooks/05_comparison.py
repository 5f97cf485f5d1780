# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which method, for how few labels, at which cost?
#
# **Many methods, one question left. This notebook trains nothing: it reads what the others have
# measured and asks what can be told apart.**
#
# Every method was compared with its own baselines. Here they stand side by side: same scans, same
# labels, same number of updates, and a difference is taken over the seeds that both rows have. You
# see differences with intervals, tests corrected for their number, differences too small to mind,
# and what each method costs.
#
# - **Time:** a minute or two; nothing is trained.
# - **Your time:** about 31 minutes to read, 61 with the tasks. **Words:** the
#   [glossary](../docs/glossary.md) has a line for each.
# - **Data:** the result files in `reports/results/rows/`, one for each row and seed, whoever
#   trained it: a notebook or `make rows`.
# - **Pages** of all notebooks: [reports/index.html](../reports/index.html).
# - **You need** notebook 00, and one method that you would like to believe in.
# - **You will be able to** read a leaderboard without being fooled by it, tell "no difference" from
#   "no evidence", and say which run is missing before anybody else does.

# %% [markdown]
# ## What can be changed?
#
# The data set, the profile and the number of labelled scans of the fixed figures. Figures with
# sliders go through everything that is stored at that profile.

# %% tags=["parameters"]
DATASET = "phantom"  # a data set of which results are stored
PROFILE = "quick"  # the profile of those results
N_LABELLED = 4  # labelled scans of those results
RESULTS_DIR = "reports/results"  # where result files are read

# %% [markdown]
# On Colab, the next cell fetches the project once and adds what is missing; `torch` and `numpy`
# stay as they are. Everywhere else it does nothing.

# %% tags=["colab"]
import os
import subprocess
import sys

SOURCE = os.environ.get("SSL_SOURCE", "")  # the address of this repository
if "google.colab" in sys.modules and not os.path.isdir("ssl_lib"):
    assert SOURCE, "set SOURCE to the address of this repository"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", SOURCE, "project"], check=True)
    os.chdir("project")
    subprocess.run([sys.executable, "binder/colab.py"], check=True)
    sys.path.insert(0, os.getcwd())

# %% tags=["setup"]
import json
from pathlib import Path

import numpy as np
from IPython.display import display

# %%
from ssl_lib import figures
from ssl_lib.evaluation.decisions import (
    MARGINS,
    compare_rows,
    holm,
    missing_rows,
    practical_verdict,
    readings,
    seconds_of,
    selection_gain,
    start_with,
    watched_rows,
)
from ssl_lib.notebook.explore import Slider, explore
from ssl_lib.figures import show
from ssl_lib.notebook.source import work_in_project
from ssl_lib.config import check_choice, earlier_settings
from ssl_lib.notebook.quiz import check, ask
from ssl_lib.evaluation.results import read_rows
from ssl_lib.methods import METHODS as REGISTRY
from ssl_lib.methods import ablations, is_exhibit, row_name, row_words
from ssl_lib.evaluation.statistics import Interval
from ssl_lib.notebook.tables import interval_text, number, plain_table
from ssl_lib.notebook.tables import reading_table, row_table

# %%
from ssl_lib.data.load import class_names_of
from ssl_lib.evaluation.classes import classes_of
from ssl_lib.evaluation.learning_curves import learning_curves
from ssl_lib.notebook.comparison_tables import class_sentence, class_table, updates_sentence
from ssl_lib.notebook.comparison_tables import variance_sentence, variance_table
from ssl_lib.notebook.comparison_words import (
    cost_table,
    one_scan_sentence,
    patients_sentence,
    readings_sentence,
    seconds_sentence,
    watched_sentence,
)
from ssl_lib.utils.words import counted

NOTEBOOK = "05_comparison"


# %%
def methods_alone(runs):
    """The runs without the rows that notebook 07 spoilt on purpose."""
    kept = [{row: one for row, one in run["rows"].items() if not is_exhibit(row)} for run in runs]
    return [run | {"rows": rows} for run, rows in zip(runs, kept, strict=True) if rows]


# %%
work_in_project()  # relative paths start there, wherever the kernel was started
check_choice(DATASET, PROFILE, N_LABELLED)
everything = methods_alone(read_rows(RESULTS_DIR, profile=PROFILE))
results = [r for r in everything if (r["dataset"], r["n_labelled"]) == (DATASET, N_LABELLED)]
there = f"{counted(len(everything), 'run')}, each of one cohort and one seed"
here = f"{len(results)} for {DATASET} with N_LABELLED={N_LABELLED}"
print(f"Stored at the profile {PROFILE}: {there}; {here}.")
if not results:
    stored = sorted({f"{r['dataset']} with {r['n_labelled']}" for r in everything})
    print(f"Figures of one cohort stay empty. Stored are: {', '.join(stored) or 'none'}.")

# %% [markdown]
# A method is represented by the network that its paper would test, one network each, so that an
# average of several does not compete with a single one. Averages stand in their own section.

# %%
FIRST_ROWS = ["supervised_few", "supervised_strong", "mean_teacher"]
METHODS = [name for name in REGISTRY if name in ablations() and name != "mean_teacher"]
AVERAGED = {
    f"{name}_ensemble": "supervised_strong" if name == "supervised_pair" else name
    for name, method in REGISTRY.items()
    if method.averaged
}
IDEAS = {row: without for row, without in ablations().items() if row in METHODS}


# %%
def stored_rows(among, runs):
    """The rows among those asked for that some of the runs holds, in that order."""
    return [row for row in among if any(row in run["rows"] for run in runs)]


def named(key):
    """A cohort in words."""
    return f"{key[0]}, {key[1]} labelled"


# %%
cohorts = {}
for run in everything:
    cohorts.setdefault((run["dataset"], run["n_labelled"]), []).append(run)
HERE = next((named(key) + earlier_settings(runs) for key, runs in cohorts.items()
             if key == (DATASET, N_LABELLED)), "")  # fmt: skip
cohorts = {named(key) + earlier_settings(runs): runs for key, runs in sorted(cohorts.items())}
shown = stored_rows([*FIRST_ROWS, *METHODS, "supervised_all"], results)
shown_and_weak = stored_rows(["supervised_weak", *shown, *sorted(IDEAS.values())], results)
shown_and_weak = list(dict.fromkeys(shown_and_weak))

# %% [markdown]
# ## What do you expect?
#
# All methods get the same labels and the same unlabelled scans. Against a supervised network with
# the same strong augmentation:


# %% tags=["predict"]
SEVERAL = "Several, too close to tell"


# %% tags=["predict"]


def best_method():
    """The method with the largest mean gain over the strong baseline, or several, and why."""
    made = compare_rows(results, [(row, "supervised_strong") for row in ["mean_teacher", *METHODS]])
    if not made:
        return "", ""
    best = max(made, key=lambda one: one.interval.mean)
    if best.interval.low <= 0:
        return "None for certain", f"The largest gain is {figures.difference_text(best)}"
    near = [one for one in made if one.interval.mean > best.interval.mean - MARGINS["dice"]]
    words = [f"{row_name(one.row)} {figures.difference_text(one)}" for one in near]
    if len(near) > 1:
        return SEVERAL, f"Less than {MARGINS['dice']} apart: {'; '.join(words)}"
    return row_name(best.row), words[0]


# %% tags=["predict"]
among = ["mean_teacher", *METHODS]
options = map(row_name, stored_rows(among, results) or among)
ask(
    f"Which one gains most on {DATASET} with N_LABELLED = {N_LABELLED}?",
    options=(*options, SEVERAL, "None for certain"),
    answer=best_method()[0],
    because=best_method()[1],
    runs=results if best_method()[0] else [],
)

# %% [markdown]
# ## Where does this end?
#
# With this picture: every test scan of every stored seed, for the baselines and the methods. The
# honest opponent is the strong baseline. A row with all labels, where it is stored, is the last
# one.

# %% tags=["first-figure"]
ALT_ROWS = "Dice of every test scan for the baselines and the methods, with means and intervals."
if shown:
    show(figures.row_comparison(results, rows=shown), alt=ALT_ROWS)
else:
    print("No run is stored for these parameters; the next section names the command.")

# %% [markdown]
# ## What is there, and what is missing?
#
# A comparison is as good as its holes are visible. Here are the seeds of every cohort, and what
# three seeds of every method and its [ablation](../docs/glossary.md) would still need, as commands.

# %%
seeds = {name: sorted({run["seed"] for run in runs}) for name, runs in cohorts.items()}
plain_table(("Cohort", "seeds"), [(name, ", ".join(map(str, of))) for name, of in seeds.items()])

# %%
rows = [*FIRST_ROWS, "supervised_weak", *METHODS, *sorted(IDEAS.values()), "supervised_all"]
wanted = list(dict.fromkeys(rows))
for key, groups in missing_rows(everything, wanted, (0, 1, 2)).items():
    for seeds, names in groups.items():
        which = "make rows DATASET={} PROFILE={} N_LABELLED={}".format(*key)
        print(f'{which} SEEDS="{" ".join(map(str, seeds))}" METHODS="{" ".join(names)}"')

# %% [markdown]
# ## Who leads, and by how much?
#
# The full table, every stored row. Means over seeds and scans; the column *difference* is paired
# with the strong baseline, scan by scan. In brackets stands what a row has changed:
#
# - `iterations`: the updates after the warm-up; `teacher decay`: another memory of the teacher;
# - `ramp`: the share of training over which the unlabelled loss gains weight; `weight`: what it
#   then has;
# - `soft`, `squared`: the weights of soft labels and of the squared error, 0.3 each in
#   *recommended*, which was chosen from this family on validation scans (notebook 08);
# - BCP (notebook 01): `geometry`, `halves` and `strong` as in its released code, so scans turned
#   before the crop, half of the batch in each direction, grey levels unchanged; `components`: its
#   filter; `warm-up beta`: the box of its pre-training;
# - DSAIF (notebook 04): `area`: another threshold $T$ of its filters; `gate`: another share of
#   samples that both networks see unfiltered.

# %% tags=["results"]
if results:
    display(row_table(results))

# %% [markdown]
# ## Is a difference real, and does it matter?
#
# Two questions, two tools.
#
# **Real?** Wilcoxon's signed-rank test over test patients (scans, where those are not known), seeds
# averaged first. With $m$ methods there are $m$ chances of a false alarm, so Holm's correction
# multiplies the smallest $p$ by $m$, the next by $m - 1$, and so on, never letting a later one fall
# below an earlier one:
#
# $$\tilde{p}_{(k)} = \max_{j \le k} \min(1, (m - j + 1)\, p_{(j)})$$
#
# **Does it matter?** A difference of 0.003 Dice can be real and worthless. We state beforehand what
# is too small to change a method for, the *region of practical equivalence*: 0.01 Dice either way.
# An interval inside it says "as good as equal", which is more than "not significant". An interval
# that covers zero and leaves the region says nothing yet.
#
# The two can disagree: the interval is of the *mean* difference, the test asks whether *most* scans
# differ in one direction. Where a few scans gain much and the others little or nothing, the figure
# says "better on average".

# %% [markdown]
# **Task 1. Paired or not?** (Tasks stand where they belong. Where code is asked for, replace the
# body and run both cells: the check says what is right and gives hints; a solution is folded below
# it.) Write `my_errors(a, b)`: the standard error of the mean difference, once over scan-wise
# differences, once as if the two rows were measured on different scans (root of the sum of squared
# standard errors). Return both.


# %% tags=["exercise"]
def my_errors(a, b):
    return NotImplemented  # your code


# %% tags=["exercise"]
hard = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
check(
    "Paired or not?",
    my_errors,
    [
        ("paired, a constant gain is certain", lambda f: f(hard + 0.02, hard)[0] < 1e-9),
        ("unpaired, it drowns", lambda f: abs(f(hard + 0.02, hard)[1] - 0.1) < 1e-3),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_errors(a, b):
#     paired = np.std(a - b, ddof=1) / np.sqrt(len(a))
#     return paired, np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
# ```
#
# </details>

# %% [markdown]
# **A toy for pencil and paper.** Three tests: $p$ = 0.01, 0.04, 0.03. Sorted and multiplied by 3, 2
# and 1: 0.03, 0.06, 0.04; the last may not fall below the one before it, so it becomes 0.06.

# %% tags=["golden", "nbval-check-output"]
print([round(p, 2) for p in holm([0.01, 0.04, 0.03])])
for low, high in ((0.002, 0.03), (-0.004, 0.006), (-0.02, 0.03)):
    print([low, high], practical_verdict(Interval((low + high) / 2, low, high, 20, 3), 0.01))

# %% tags=["figure", "thumbnail"]
pairs = [(row, "supervised_strong") for row in ["mean_teacher", *METHODS]]
against_strong = compare_rows(results, pairs)
ALT_FOREST = "Differences to the strong baseline for each method, with intervals and verdicts."
if against_strong:
    show(figures.forest(against_strong, margin=MARGINS["dice"], results=results), alt=ALT_FOREST)

# %% tags=["results"]
if against_strong:
    display(one_scan_sentence(results, against_strong))
    display(patients_sentence(results, against_strong))

# %% [markdown]
# **Task 2. The best of five.** Five methods without any effect; how often is at least one of them
# "significant" at 0.05 without correction? Write `false_alarm(m)` for independent tests.


# %% tags=["exercise"]
def false_alarm(m):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "The best of five",
    false_alarm,
    [
        ("one test", lambda f: abs(f(1) - 0.05) < 1e-9),
        (
            "five tests",
            lambda f: abs(f(5) - 0.2262) < 1e-3,
            "1 minus the chance that all are silent",
        ),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def false_alarm(m):
#     return 1 - 0.95**m
# ```
#
# </details>

# %% [markdown]
# Small dots are seeds: if they lie further apart than the bar is long, the luck of training weighs
# more than the choice of test scans, and three seeds or fewer are few.
#
# **Try it.** Change the measure, and the cohort where several are stored. Of a distance the figure
# shows by how much it is *reduced*, so that right is always better. Does a method that gains Dice
# also gain in the worst places (95HD)?

# %%
MEASURES = {"Dice": "dice", "Jaccard": "jaccard", "95HD": "hd95", "ASD": "asd"}


# %%
comparable = [name for name, runs in cohorts.items() if compare_rows(runs, pairs)]
FIRST = HERE if HERE in comparable else next(iter(comparable), "")
LINES = {row: row_name(row) for row in stored_rows([row for row, _ in pairs], everything)}


# %% tags=["widget"]
def forest_of(measure, cohort=FIRST):
    """The forest of one measure and one cohort, against the strong baseline."""
    score = MEASURES[measure]
    made = compare_rows(cohorts[cohort], pairs, score=score)
    known = {"margin": MARGINS[score], "score": score, "results": cohorts[cohort]}
    return figures.forest(made, names=LINES, **known)


# %% tags=["widget"]
def said_of(measure, cohort=FIRST):
    """What the forest of a measure shows, in words."""
    gained = figures.gained_words(cohorts[cohort], MEASURES[measure])
    return f"{gained[0].upper()}{gained[1:]}, each row against the strong baseline, {cohort}."


# %% tags=["widget"]
chosen = {"measure": Slider("measure", tuple(MEASURES), "Dice")}
if len(comparable) > 1:
    chosen["cohort"] = Slider("cohort", comparable, FIRST)
if comparable:
    explore(
        forest_of,
        wanted_bytes=300_000,
        alt=said_of,
        **chosen,
    )

# %% [markdown]
# **Task 3. Judge an interval.** A method against the strong baseline: +0.005 Dice, 95 % interval
# from +0.002 to +0.008. The margin is 0.01.

# %% tags=["predict"]
ask(
    "What is shown?",
    options=(
        "It is better",
        "As good as equal",
        "Nothing",
    ),
    answer="As good as equal",
    because=(
        "The gain is real, for the interval lies above zero. But the whole interval lies inside "
        "the margin: too small to change a method for."
    ),
)

# %% [markdown]
# ## Which class gains most?
#
# A mean over classes hides which organ it speaks of. Here is each class alone, paired with the
# strong baseline. To the right is better in both panels. An organ that was not found has a Dice of
# 0 and no distance: 95HD compares the scans where both rows found the class.

# %% tags=["figure"]
learners = [one.row for one in against_strong]
class_names = class_names_of(DATASET, 1 + len(classes_of(results)))
ALT_CLASSES = "Dice gained and 95HD reduced over the strong baseline, by row and class."
if learners:
    show(figures.class_gain_chart(results, shown, class_names), alt=ALT_CLASSES)

# %% tags=["results"]
if learners:
    display(class_sentence(results, learners, class_names))

# %% tags=["results"]
for score in ("dice", "hd95") if shown else ():
    display(class_table(results, shown, class_names, score))

# %% [markdown]
# Read both tables. The same shift of a border costs a small or thin class more Dice than a large
# one, and 95HD says how far off the worst places are.

# %% [markdown]
# ## What does each idea add?
#
# A method is a bundle: teacher, schedule, filter, ramp, and the one idea that named it. Each
# notebook trained the bundle without the idea. The difference of the two is what a paper's title
# promises. Where the bundle without the idea *is* the mean teacher, as for AAU, or the strong
# baseline, as for CPS, the whole method is its idea; the names say so. In each figure $p$ is
# corrected for the lines of that figure.


# %% tags=["widget"]
def ideas_of(cohort):
    """Every method minus the same without its idea."""
    made = compare_rows(cohorts[cohort], list(IDEAS.items()))
    pairs = {row: IDEAS[row] for row in stored_rows(IDEAS, everything)}
    names = {row: f"{row_name(row)} minus {row_words(without)}" for row, without in pairs.items()}
    return figures.forest(made, margin=MARGINS["dice"], names=names, results=cohorts[cohort])


# %% tags=["widget"]
with_ideas = [name for name, runs in cohorts.items() if compare_rows(runs, list(IDEAS.items()))]

# %% tags=["widget"]
if len(with_ideas) > 1:
    explore(
        ideas_of,
        wanted_bytes=300_000,
        alt=lambda cohort: f"Gain in Dice of each method's idea on {cohort}.",
        cohort=Slider("cohort", with_ideas, HERE if HERE in with_ideas else with_ideas[0]),
    )
elif with_ideas:
    show(ideas_of(with_ideas[0]), alt=f"Gain in Dice of each method's idea on {with_ideas[0]}.")

# %% tags=["results"]
counts = {}
for runs in cohorts.values():
    for one in compare_rows(runs, list(IDEAS.items())):
        counts.setdefault(one.row, []).append(one.verdict)
KINDS = ("better", "equivalent", "undecided", "worse")
lines = [(row_name(row), *map(found.count, KINDS)) for row, found in counts.items()]
plain_table(("Method", *KINDS), lines, "Number of cohorts: with the idea against without it.")

# %% [markdown]
# ## Does averaging networks do the same?
#
# Co-training leaves several networks behind, and an average of networks is often better than one of
# them for reasons that have nothing to do with unlabelled scans. So averages are compared with
# averages, and here with one of their own members.

# %% tags=["figure"]
averages = compare_rows(results, list(AVERAGED.items()))
ALT_AVERAGES = "Gain in Dice of averaging several networks over one of them."
if averages:
    show(figures.forest(averages, margin=MARGINS["dice"], results=results), alt=ALT_AVERAGES)
else:
    print("No averaged rows are stored for this cohort.")

# %% [markdown]
# ## How many updates does it take?
#
# Every row gets the same number of updates, and one may need fewer of them. Below: the Dice of the
# *validation* scans along the training, warm-up included. The line is the mean over seeds, the band
# reaches from the worst seed to the best one. Of three seeds an interval would claim more than is
# known, and one seed has no band.

# %% tags=["figure"]
ALT_CURVES = "Validation Dice over updates, a panel for each row, with the strong baseline in grey."
with_curve = [row for row in shown if learning_curves(results, row)]
if with_curve:
    show(figures.learning_curve_panels(results, with_curve), alt=ALT_CURVES)

# %% tags=["results"]
if with_curve:
    display(updates_sentence(results, with_curve))

# %% [markdown]
# A row *reaches* the strong baseline at the first look at which its mean is as high as the last one
# of the baseline. It may fall below again, and the truth lies between that look and the one before.
# Validation scans are few, so compare the curves with each other, not with a Dice of the test
# scans.

# %% [markdown]
# ## What does it cost?
#
# Equal updates are not equal work. A second network, eight passes for an uncertainty, a filter: all
# of it is in the seconds. They are those of each row's fastest stored seed, because other work on a
# machine only adds to them; not all rows were trained on one machine at one time. Trainings that do
# the same work show how far the seconds can be trusted.

# %% tags=["figure"]
ALT_COST = "Mean Dice of each row against its seconds of training."
if shown:
    show(figures.dice_against_seconds(results, shown), alt=ALT_COST)

# %% tags=["results"]
if shown:
    display(seconds_sentence(results))
    display(cost_table(results, shown))

# %% [markdown]
# ## How few labels?
#
# Unlabelled scans should help most where labels are few. Lines join the means of the seeds; bars
# reach from the worst seed to the best. Rows that were measured at fewer numbers of labels than
# others are left out. It takes two numbers of labels at one profile.

# %% tags=["figure"]
of_dataset = [run for run in everything if run["dataset"] == DATASET]
rows = stored_rows(["supervised_strong", "mean_teacher", *METHODS, "supervised_all"], of_dataset)
counts = {row: {r["n_labelled"] for r in of_dataset if row in r["rows"]} for row in rows}
rows = [row for row in rows if len(counts[row]) == max(map(len, counts.values()))]
ALT_LABELS = "Mean Dice against the number of labelled scans, one line for each row."
if rows and max(map(len, counts.values())) > 1:
    show(figures.dice_by_labels(of_dataset, rows), alt=ALT_LABELS)
else:
    print("Rows with one number of labels only are stored.")

# %% [markdown]
# ## How do numbers get inflated?
#
# A training passes through many networks on its way. Whoever looks at the *test* scans after every
# few hundred iterations, and reports the best look, reports a maximum: of the method and of luck.
# Several released codes do that. Nothing is stolen and nothing is learnt; the number is simply not
# the one that a new hospital will see.
#
# **A toy for pencil and paper.** A method stands still at 0.80, and its Dice at each look varies
# with standard deviation 0.01. The best of $k$ looks lies above the truth by 0.01 times the mean of
# the largest of $k$ normal numbers: 0.56 for two looks, 1.54 for ten, 1.87 for twenty.

# %% tags=["golden", "nbval-check-output"]
wobble = np.random.default_rng(0).normal(0.80, 0.01, size=(20000, 20))
for looks in (1, 2, 10, 20):
    print(f"looks {looks:2d}, mean of the best: {wobble[:, :looks].max(axis=1).mean():.3f}")

# %% [markdown]
# **Task 4. Predict a number.** Another method stands still at 0.70; its Dice varies from look to
# look with standard deviation 0.02, independently.

# %% tags=["predict"]
ask(
    "What does the best of five looks report, on average?",
    options=(
        "0.702",
        "0.723",
        "0.740",
    ),
    answer="0.723",
    because=(
        "The largest of five normal numbers lies 1.16 standard deviations above their mean, "
        "between the 0.56 of two and the 1.54 of ten."
    ),
)

# %% [markdown]
# Real looks are alike (the network moves little between two of them, and the same scans judge it),
# so less is gained. How much, trainings can tell that were watched on their way: the last weights,
# those best on validation scans, and, **for this section and the next alone**, those best on the
# test scans.

# %%
SELECTION = Path(RESULTS_DIR).parent / "selection"
watched_file = SELECTION / f"{DATASET}-{PROFILE}-n{N_LABELLED}.json"
watched = watched_rows(results, shown_and_weak)
apart = not watched and watched_file.exists()
if apart:
    watched = json.loads(watched_file.read_text())["trainings"]

# %% tags=["figure"]
ALT_CHOICE = "Dice along one training with three checkpoints, and what choosing them gains."
if watched:
    show(figures.checkpoint_choice(watched), alt=ALT_CHOICE)
else:
    print("not watched yet: rows of the profile evening store a test curve")

# %% tags=["results"]
if watched:
    display(watched_sentence(watched, results, apart))

# %% tags=["results"]
CHOICES = {"validation_best": "best on validation scans", "test_best": "best on the test scans"}
gains = {words: [selection_gain(one, kind) for one in watched] for kind, words in CHOICES.items()}
lines = [(words, *(number(of(each), 4, "+") for of in (np.mean, min, max)))
         for words, each in gains.items() if each]  # fmt: skip
SAID = f"Dice gained over the last weights, {counted(len(watched), 'training')}."
plain_table(("Checkpoint", "mean", "smallest", "largest"), lines, SAID) if lines else None

# %% [markdown]
# The best on the test scans can hardly lose (their mean chose it): its sign says nothing, and
# its size says how much of a published difference may be the looking. Compare it with the gains of
# the ideas above. A schedule that ends at a small learning rate, as ours does, leaves little to
# choose from; a constant one leaves more, and a row that falls apart on its way leaves everything.

# %% [markdown]
# ## Which baseline, which checkpoint, which filter?
#
# A published gain is a difference of two readings: of the method and of a baseline. The papers'
# baseline augments weakly, and is labels only; ours augments as the method does. Their checkpoint
# is often the best look at the test scans. And a filter that keeps the **largest connected
# component** of each class, as nnU-Net does where validation says so, removes islands far from the
# organ: some rows have many of them, some have none. The same trainings, read in each of these
# ways:

# %% tags=["figure"]
BASELINES = ["supervised_weak", "supervised_strong"]
ALT_READINGS = "Mean Dice of each row, read in several ways, beside the baselines."
read_twice = [row for row in shown_and_weak if len(readings(results, row)) > 1]
if read_twice:
    show(figures.reading_choice(results, read_twice, BASELINES), alt=ALT_READINGS)
else:
    print("no row of these parameters was read in several ways")

# %% tags=["results"]
if read_twice:
    display(reading_table(results, read_twice, BASELINES))
    display(readings_sentence(results, shown_and_weak))

# %% [markdown]
# The profile `evening` stores all readings, others only some.

# %% [markdown]
# **Task 5. How much was augmentation?** Write `share_of_augmentation(weak, strong, method)`: the
# share of a method's gain over the weak baseline that the strong baseline has already. The three
# arguments are Dice; the check brings its own, so no stored weak baseline is needed.


# %% tags=["exercise"]
def share_of_augmentation(weak, strong, method):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "How much was augmentation?",
    share_of_augmentation,
    [
        ("all of it", lambda f: abs(f(0.5, 0.7, 0.7) - 1) < 1e-9),
        ("half of it", lambda f: abs(f(0.5, 0.6, 0.7) - 0.5) < 1e-9, "both gains start at weak"),
        ("more than all: the method costs", lambda f: f(0.5, 0.8, 0.7) > 1),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def share_of_augmentation(weak, strong, method):
#     return (strong - weak) / (method - weak)
# ```
#
# </details>

# %% [markdown]
# ## What do the papers say?
#
# Reported numbers, in % Dice, beside the protocol that made them. They stand in tables of different
# make: other crops, other checkpoints, other filters at test time, such as the
# [largest component](../docs/glossary.md). A difference *between* two papers is not a difference
# between two methods.
#
# | method | data, labelled | reported | checkpoint | at test time |
# |---|---|---|---|---|
# | BCP | LA 2018, 8 of 80 | 89.62 | best on the test scans | largest component |
# | BCP | LA 2018, 4 of 80 | 88.02 | best on the test scans | largest component |
# | UA-MT | LA 2018, 8 of 80 | 87.79, re-run by others 85.81 | differs between re-runs | none |
# | AAU | LA 2018, 8 of 80 | 86.58 | code for LA not released | not known |
# | UMCT, 3 views | NIH pancreas, 6 of 62 | 77.55, views averaged 78.77 | not stated | not known |
# | DSAIF | LA, pancreas, prostate | not at hand | best on the test list | none |
#
# Nothing in this table was measured here: all numbers are quoted, some at second hand (notebooks
# 00b to 04 name the sources). All LA crops were made around the true atrium, ours too.

# %% tags=["results"]
paper = read_rows(RESULTS_DIR, profile="paper")
for run in paper:
    scores = ", ".join(f"{row}: {100 * run['rows'][row]['dice']:.2f}" for row in run["rows"])
    print(f"{run['dataset']}, {run['n_labelled']} labelled, seed {run['seed']}: {scores}")
if not paper:
    print("We have no run at the papers' scale yet: it takes a GPU. The command:")
    print('make reports DATASET=la2018 PROFILE=paper N_LABELLED="4 8" SEEDS="0 1 2"')

# %% [markdown]
# ## How much is luck?
#
# Which scans were labelled, the seed, and the test scan: each moves a Dice. Trained on several
# *draws* of the labelled scans, with several seeds, a row tells them apart. For draw $d$, seed $s$
# within it and test scan $i$, we take its Dice as a sum of independent parts,
#
# $$y_{dsi} = \mu + D_d + S_{ds} + T_i + e_{dsi}$$
#
# and estimate their variances, the *variance components*, by equating mean squares with their
# expectations. The rest $e$ holds what is of one training on one scan alone, for example that
# another draw suits other scans. Draw 0 is the data set's own choice of labelled scans; every other
# figure of this page shows it alone.

# %% tags=["results"]
draws = methods_alone(read_rows(RESULTS_DIR, DATASET, PROFILE, N_LABELLED, labelled_draw=None))
few = [row for row in shown if row != "supervised_all"]  # all labels: there is nothing to draw
if few:
    display(variance_table(draws, few, [(row, "supervised_strong") for row in learners]))

# %% tags=["results"]
if few:
    display(variance_sentence(draws, few))

# %% [markdown]
# Labelled scans and seed move the *mean* of a row, however many test scans there are. Whoever
# trains once has drawn both once. The part of the test scan shrinks with their number. The lower
# lines are of each *paired difference*, the difference of two rows on the same scan: it removes
# what both rows find hard there, and what is left in these lines it cannot remove.

# %% [markdown]
# ## Which one shall I start with?
#
# For every stored cohort, by one rule: of all methods that are better than the strong baseline by
# 0.01 Dice or more, and of which none is ahead by more than 0.01, the simplest that takes no more
# than 1.5 times as long as the fastest *of these*. Simplest is the first in the order of all
# tables. Read the line that is nearest to your own scans: as few labels, as many dimensions. Where
# no row is better, outline more scans first.


# %% tags=["results"]
def first_choice(runs):
    """The row to start with, its gain, and what it costs in trainings of the strong baseline."""
    found = start_with(runs, list(ablations()))
    if found is None:
        return "the strong baseline", "–", "1.0"
    cost = seconds_of(runs, found.row) / seconds_of(runs, "supervised_strong")
    return row_name(found.row), interval_text(found.interval, "+"), f"{cost:.1f}"


# %% tags=["results"]
by_cohort = {}
for run in methods_alone(read_rows(RESULTS_DIR)):
    if run["profile"] != "smoke":
        key = (run["dataset"], run["n_labelled"], run["profile"])
        by_cohort.setdefault(key, []).append(run)
lines = [
    (named(key[:2]), f"{len(runs[0]['parameters']['patch'])}D", key[2], *first_choice(runs))
    for key, runs in sorted(by_cohort.items())
]
HEADS = ("Scans", "axes", "profile", "start with", "Dice gained", "seconds")
SAID = (
    "Dice gained over the strong baseline, paired, with 95 % intervals over patients (LA: over"
    " scans). Seconds divided by those of the strong baseline, fastest seed each."
)
plain_table(HEADS, lines, SAID)

# %% [markdown]
# This is a summary of what was measured, on test scans like the rest of this page, and no choice:
# the gain of the best of many rows is a little too large. On your own scans choose by validation,
# as notebooks 06 and 08 do.
#
# What the table does not know: lesions of any number and place (no row was measured on them; choose
# one that filters nothing), scans of other hospitals, and outlines of several experts.

# %% [markdown]
# ## What do you remember?
#
# Ten questions. Answer aloud, then unfold.
#
# <details><summary>1. Why are differences taken scan by scan?</summary>
#
# Hard scans are hard for every row. The difference on the same scan is free of that spread.
#
# </details>
#
# <details><summary>2. What does a bootstrap interval over patients speak of?</summary>
#
# Of other patients of this kind. Not of other labelled scans, and of other seeds only as far as
# several were run.
#
# </details>
#
# <details><summary>3. What does Holm's correction protect from?</summary>
#
# From false alarms among several tests: the smallest p is multiplied by their number, the next by
# one less, and so on.
#
# </details>
#
# <details><summary>4. What is the margin of equivalence?</summary>
#
# The difference that is too small to change a method for, stated beforehand: 0.01 Dice here.
#
# </details>
#
# <details><summary>5. What does an ablation tell that a baseline cannot?</summary>
#
# What the idea adds to its own bundle of teacher, schedule, filter and augmentation.
#
# </details>
#
# <details><summary>6. Why are averaged networks compared with averaged networks?</summary>
#
# Averaging gains without any unlabelled scan.
#
# </details>
#
# <details><summary>7. What is wrong with the best look at the test scans?</summary>
#
# It reports a maximum of method and luck. No new scan comes with that luck.
#
# </details>
#
# <details><summary>8. Which baseline do most papers use, and which do we add?</summary>
#
# Theirs augments weakly. The strong baseline gets all the augmentation that the method gets.
#
# </details>
#
# <details><summary>9. Why is a largest component a second column and not the headline?</summary>
#
# It is a filter that any row can have. Where one row has islands and another has none, it changes
# the ranking without any learning.
#
# </details>
#
# <details><summary>10. What do several seeds of one draw not show?</summary>
#
# What another choice of the few labelled scans would bring. It takes several draws.
#
# </details>

# %% [markdown]
# ## What stays?
#
# - Read the interval before the mean, and the baseline before the method.
# - "Not significant" is not "equal": only an interval inside the region of equivalence says that.
# - The gain of a method and the gain of its idea are two numbers. Ask for the second.
# - Cost belongs into the same table.
#
# **Limits.** Short schedules, small networks, few draws of the labelled scans or one, three seeds
# at most. A method that needs a long schedule or a large volume had no chance here. The margins of
# equivalence are our choice. Where it is not known which scans share a patient (LA), tests and
# intervals draw scans, and are too narrow if some do.
#
# ## References
#
# - Holm's correction: S. Holm, Scandinavian Journal of Statistics 6, 1979.
# - Region of practical equivalence: J. Kruschke, Advances in Methods and Practices in Psychological
#   Science 1, 2018.
# - Variance components: S. Searle, G. Casella, C. McCulloch, Variance Components, Wiley, 1992.
# - Interval: T. Hesterberg, The American Statistician 69, 2015.
# - The methods: see notebooks 00b to 04 and 08.
#
# ```bibtex
# @article{holm1979simple,
#   title   = {A simple sequentially rejective multiple test procedure},
#   author  = {Holm, Sture},
#   journal = {Scandinavian Journal of Statistics},
#   year    = {1979}
# }
# ```
