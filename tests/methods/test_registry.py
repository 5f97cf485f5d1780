"""The registry: records, other parameters, functions of a notebook, and what depends on it."""

import json
from dataclasses import replace

import pytest
import tiny_study
from tiny_study import row

from ssl_lib.evaluation.results import read_results, read_rows, row_path
from ssl_lib.methods import METHODS, ROW_NAMES, ablations, base_row, in_order, row_name
from ssl_lib.training.method import parameters_of
from ssl_lib.training.published import Published, as_published
from ssl_lib.utils.errors import InputError


def scaled_step(networks, batch, moment, *, alpha=0.5):
    output = tiny_study.warm_up(networks, batch, moment)
    output.losses["supervised"] = alpha * output.losses["supervised"]
    return output


def test_rows_have_readable_names():
    assert row_name("supervised_few") == "Supervised, no augmentation"
    assert row_name("dsaif_ensemble") == "Structure-aware filtering (DSAIF), averaged"
    assert row_name("bcp[alpha=0.3,beta=0.5]") == (
        "Bidirectional copy-paste (BCP) (alpha 0.3, beta 0.5)"
    )
    averaged = "dsaif[gate=0.8]_ensemble"
    assert row_name(averaged) == "Structure-aware filtering (DSAIF), averaged (gate 0.8)"
    assert base_row(averaged) == "dsaif_ensemble" and in_order([averaged, "bcp"])[0] == "bcp"
    assert row_name("all_four_ideas") == "All four ideas"
    assert row_name("bcp[alpha=0.3] again").startswith("Bidirectional copy-paste (BCP) (alpha 0.3")
    assert base_row("bcp[alpha=0.3]") == "bcp"


def test_the_order_of_tables_holds_for_rows_of_another_config_and_unknown_ones():
    rows = ["zebra", "bcp[alpha=0.3]", "supervised_all", "bcp", "supervised_few"]
    ordered = ["supervised_few", "bcp", "bcp[alpha=0.3]", "supervised_all", "zebra"]
    assert in_order(rows) == ordered


def test_every_record_is_complete():
    for name, method in METHODS.items():
        assert method.title and method.notebook and method.label == name
        assert method.config.keys() <= parameters_of(method.step).keys() | {"beta", "power", "same"}
    assert all(METHODS.keys() >= {row, without} for row, without in ablations().items())
    assert next(iter(ROW_NAMES)) == "supervised_few"


def test_another_parameter_is_another_row_in_another_file(tmp_path):
    made = tiny_study.tiny_study(tmp_path / "runs")
    method = row("scaled", scaled_step)
    for one in (method, method.with_config(alpha=0.3)):
        made.save("00_x", "phantom", made.rows(one), tmp_path)
    (stored,) = read_rows(tmp_path)
    assert stored["rows"].keys() == {"scaled[alpha=0.3]", "scaled"}
    configs = {name: one["config"]["step"]["alpha"] for name, one in stored["rows"].items()}
    assert configs == {"scaled": 0.5, "scaled[alpha=0.3]": 0.3}
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    made.rows(method.with_config(alpha=0.5))
    assert runs == sorted(path.name for path in (tmp_path / "runs").iterdir())


def test_a_parameter_of_what_is_prepared_is_the_methods_too():
    changed = METHODS["dsaif"].with_config(area=2, gate=0.8)
    assert changed.label == "dsaif[area=2,gate=0.8]"
    assert changed.recorded()["prepare"] == {"area": 2}
    assert changed.config["gate"] == 0.8 and "area" not in changed.config
    assert METHODS["dsaif"].with_config(area=None).label == "dsaif"
    study = replace(tiny_study.tiny_study(), profile="paper")
    published = {study.cohort.name: Published(prepare_config={"area": 9})}
    for method, area in ((METHODS["dsaif"], 9), (changed, 2)):
        _, at_paper = as_published(study, replace(method, published=published))
        assert at_paper.prepare_config == {"area": area}


def test_a_parameter_of_the_warm_up_is_the_methods_too():
    changed = METHODS["bcp_ablation"].with_config(**{"warm_up.beta": 0.0})
    assert changed.label == "bcp_ablation[warm_up.beta=0.0]"
    assert row_name(changed.label) == "BCP without copy-paste (warm-up beta 0)"
    assert changed.recorded()["warm_up"]["beta"] == changed.config["beta"] == 0.0
    assert METHODS["bcp"].with_config(**{"warm_up.beta": 2 / 3}).label == "bcp"
    with pytest.raises(InputError, match=r"no parameter 'warm_up\.bta'") as caught:
        METHODS["bcp"].with_config(**{"warm_up.bta": 0.0})
    assert "did you mean warm_up.beta?" in str(caught.value)
    study = replace(tiny_study.tiny_study(), profile="paper")
    published = {study.cohort.name: Published(warm_up_config={"beta": 0.5, "regions": True})}
    for method, beta in ((METHODS["bcp"], 0.5), (changed, 0.0)):
        _, at_paper = as_published(study, replace(method, published=published))
        assert at_paper.warm_up_config == {"beta": beta, "regions": True}


@pytest.mark.parametrize("name", ["bcp", "mean_teacher", "aau", "dsaif", "supervised_strong"])
def test_a_step_at_paper_in_our_geometry_gets_its_own_parameters_alone(name):
    study = replace(tiny_study.tiny_study(), profile="paper")
    for method in (METHODS[name], METHODS[name].in_our_geometry()):
        here = {study.cohort.name: method.published["acdc"]}
        _, at_paper = as_published(study, replace(method, published=here))
        assert "geometry" not in at_paper.config
        assert at_paper.config.keys() >= method.published["acdc"].config.keys()


def test_a_parameter_that_a_method_does_not_have_is_refused():
    with pytest.raises(InputError, match="no parameter 'alpa'") as caught:
        METHODS["bcp"].with_config(alpa=0.3)
    assert "did you mean alpha?" in str(caught.value)


def test_every_parameter_of_a_method_is_plain_and_recorded():
    for method in METHODS.values():
        recorded = json.loads(json.dumps(method.recorded()))
        assert recorded["step"].keys() >= set(method.config)
    assert METHODS["aau"].recorded()["step"]["gamma"] == 5.0
    assert METHODS["bcp"].recorded()["step"]["dice"] == "dice_squared_all"


def test_an_edited_cell_is_trained_and_an_unchanged_one_finds_the_librarys_run():
    made, method = tiny_study.tiny_study(), METHODS["supervised_strong"]
    same = method.defined_by({"supervised_step": method.step})
    assert same == method
    edited = method.defined_by({"supervised_step": scaled_step})
    assert edited.step is scaled_step and edited.warm_up is scaled_step
    assert made.key(edited.step) != made.key(method.step)
    assert replace(edited, name="other").label == "other"


def test_the_result_of_an_edited_cell_says_so_and_the_methods_own_does_not():
    made, method = tiny_study.tiny_study(), METHODS["supervised_strong"]
    assert "edited" not in made.train(method).config
    edited = made.train(method.defined_by({"supervised_step": scaled_step})).config
    assert edited["edited"].keys() == {"step", "warm_up"}


def test_the_row_of_an_edited_cell_never_replaces_the_methods_own(tmp_path):
    made, method = tiny_study.tiny_study(), METHODS["supervised_strong"]
    result = made.save("00_x", "phantom", made.rows(method), tmp_path)
    own = row_path(tmp_path, result, method.name)
    before = own.read_bytes()
    edited = method.defined_by({"supervised_step": scaled_step})
    result = made.save("00_x", "phantom", made.rows(edited), tmp_path)
    assert own.read_bytes() == before
    assert len(list(own.parent.iterdir())) == 2
    named = made.train(replace(edited, name="mine")).config
    assert "edited" not in named and named["own"], "a row of its own name replaces nothing"
    (counted,) = read_rows(tmp_path)
    assert "edited" not in counted["rows"][method.name]["config"]
    (shown,) = read_results(tmp_path, "00_x")
    assert shown["rows"][method.name]["config"]["edited"], "its notebook shows the edit"


def test_a_published_row_has_one_in_our_geometry_beside_it():
    ours = METHODS["bcp"].in_our_geometry()
    assert ours.label == "bcp[geometry=ours]"
    assert ours.published["acdc"].settings["geometry"] == "ours"
    assert "strong" not in ours.published["acdc"].config
    assert ours.published["acdc"].config["halves"] is True, "the rest is as published"
