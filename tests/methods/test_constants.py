"""Tables of constants: every line the same or explained, and looked up where training looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssl_lib.config import paper_settings
from ssl_lib.methods import METHODS, constants
from ssl_lib.methods.constants import TABLES, Constant, constants_of, values_at_paper
from ssl_lib.methods.published import DATA_SETS, PUBLISHED
from ssl_lib.training.method import parameters_of
from ssl_lib.utils.errors import InputError

PAIRS = [(name, data) for name in TABLES for data in DATA_SETS]


@pytest.mark.parametrize(("name", "data"), PAIRS)
def test_every_line_is_the_same_or_says_why_not(name, data):
    lines = constants_of(METHODS[name], data)
    assert len(lines) > 12
    assert all(line.verdict == "same" or len(line.verdict) > 5 for line in lines)
    assert sum(line.verdict == "same" for line in lines) > len(lines) / 2
    assert len({line.what for line in lines}) == len(lines)


def test_a_method_that_trains_another_constant_is_found(monkeypatch):
    record = PUBLISHED["bcp", "la2018"]
    other = replace(record, config={**record.config, "alpha": 0.3})
    monkeypatch.setattr(constants, "PUBLISHED", {**PUBLISHED, ("bcp", "la2018"): other})
    with pytest.raises(InputError, match=r"alpha: released 0\.5, ours 0\.3"):
        constants_of(METHODS["bcp"], "la2018")


def test_a_line_about_a_parameter_that_is_not_there_is_refused(monkeypatch):
    line = Constant("alpha", "0.5", 0.5, "config.alpa")
    monkeypatch.setitem(constants.TABLES, "bcp", (line,))
    with pytest.raises(InputError, match=r"no parameter is called 'config\.alpa'"):
        constants_of(METHODS["bcp"], "acdc")
    with pytest.raises(InputError, match="no table of constants for 'dsaif_only_child'"):
        constants_of(METHODS["dsaif_only_child"], "acdc")


def test_every_method_has_a_record_whose_parameters_its_functions_take():
    without = {name for name, method in METHODS.items() if method.notebook == "08_newer_ideas"}
    assert {name for name, _ in PUBLISHED} == set(METHODS) - without
    for (name, data), record in PUBLISHED.items():
        method = METHODS[name]
        assert method.published[data] == record
        record.changed(paper_settings(data), "paper")  # refuses a name that no setting has
        if name.startswith(("mean_teacher", "ua_mt", "aau")):
            continue  # they hand what they do not know on to `released_step`
        passed_on = {"beta", "exclusive", "power"}
        assert record.config.keys() <= parameters_of(method.step).keys() | passed_on
        assert record.warm_up_config.keys() <= parameters_of(method.warm_up).keys() | passed_on


@pytest.mark.parametrize("data", DATA_SETS)
def test_one_schedule_for_all_is_bcps_and_only_the_geometry_is_a_methods_own(data):
    equal = paper_settings(data, "paper_equal")
    assert equal == paper_settings(data)
    for (_, where), record in PUBLISHED.items():
        if where == data:
            found = record.changed(equal, "paper_equal")
            assert replace(found, geometry=equal.geometry, margin=equal.margin) == equal
    assert PUBLISHED["bcp", data].changed(equal) == equal


def test_a_row_in_our_geometry_keeps_its_schedule():
    record = PUBLISHED["bcp", "la2018"]
    ours = record.in_our_geometry()
    assert "strong" not in ours.config and ours.config["halves"] is True
    changed = ours.changed(paper_settings("la2018"))
    assert changed.geometry == "ours" and changed.margin == 0.25
    assert changed.schedule == record.changed(paper_settings("la2018")).schedule


def test_values_are_those_of_the_run():
    found = values_at_paper(METHODS["ua_mt"], "acdc")
    assert found["config.ln2"] is True and found["schedule.decay"] == "poly"
    assert found["config.dice"].__name__ == "dice_squared_all"
    assert values_at_paper(METHODS["ua_mt"], "la2018")["config.dice"].__name__ == (
        "dice_squared_foreground"
    )
    assert values_at_paper(METHODS["supervised_few"], "acdc")["settings.geometry"] == "unmoved"
