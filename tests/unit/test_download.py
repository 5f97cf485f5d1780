"""Downloads: complete and verified, or not there at all. The server is on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from tiny_scans import tiny_image, tiny_label, write_hdf5
from tiny_server import CONTENT, FIRST, SOURCE, Server, assert_complete, use_tiny_set, with_archive

import data_download
from ssl_lib.data import download, verification
from ssl_lib.data import published as datasets
from ssl_lib.notebook.source import NOTEBOOKS_DIR, read_parameters
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def tiny_set(monkeypatch):
    """A hippocampus set of four scans, no waiting, and a public host that nobody reaches."""
    return use_tiny_set(monkeypatch)


@pytest.fixture
def mirror(tmp_path):
    """The same files in a folder."""
    for path, content in CONTENT.items():
        file = tmp_path / "mirror" / SOURCE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "mirror"


def fetch(tmp_path, source, **options):
    """Fetch from `source`; return the folder and all that was said."""
    said: list[str] = []
    folder = download.fetch(
        "hippocampus", tmp_path / "data", mirror=str(source), say=said.append, **options
    )
    return folder, "\n".join(said)


def test_a_folder_serves_as_mirror(tmp_path, mirror):
    folder, _ = fetch(tmp_path, mirror)
    assert_complete(folder)


def test_a_file_address_serves_as_mirror(tmp_path, mirror):
    folder, _ = fetch(tmp_path, mirror.as_uri())
    assert_complete(folder)


def test_the_mirror_may_come_from_the_environment(tmp_path, mirror, monkeypatch):
    monkeypatch.setenv("SSL_MIRROR", str(mirror))
    monkeypatch.setenv("SSL_DATA_DIR", str(tmp_path / "elsewhere"))
    assert_complete(download.fetch("hippocampus", say=lambda _: None))
    assert (tmp_path / "elsewhere" / "hippocampus" / FIRST).exists()


def test_notebooks_and_rows_look_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_DATA_DIR", str(tmp_path / "elsewhere"))
    for stated in (None, ""):  # "" is what the notebooks' DATA_DIR says
        with pytest.raises(InputError) as refusal:
            Study.open("la2018", "quick", 4, 0, data_dir=stated)
        assert str(tmp_path / "elsewhere" / "la2018") in str(refusal.value)
    with pytest.raises(InputError, match="stated"):
        Study.open("la2018", "quick", 4, 0, data_dir=tmp_path / "stated")
    assert read_parameters(NOTEBOOKS_DIR / "00_few_labels_many_scans.py")["DATA_DIR"] == ""


def test_licence_and_citation_come_before_the_first_byte(tmp_path, server):
    requests_when_said = []
    download.fetch(
        "hippocampus",
        tmp_path,
        mirror=server.url,
        say=lambda line: requests_when_said.append((len(server.requests), line)),
    )
    first = requests_when_said[0]
    assert first[0] == 0
    assert "CC BY-SA 4.0" in first[1] and "Antonelli" in first[1] and "hippocampus_118" in first[1]


def test_a_broken_connection_is_continued(tmp_path, server):
    server.fault(FIRST, "cut", "cut")
    folder, _ = fetch(tmp_path, server.url)
    assert_complete(folder)
    assert server.ranges_asked(FIRST) == [None, "bytes=1000-", "bytes=2000-"]


def test_a_later_run_continues_an_earlier_one(tmp_path, server):
    part = tmp_path / "data" / "hippocampus" / (FIRST + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[FIRST][:1234])
    folder, _ = fetch(tmp_path, server.url)
    assert_complete(folder)
    assert server.ranges_asked(FIRST) == ["bytes=1234-"]


def test_a_server_that_cannot_continue_is_read_from_the_start(tmp_path, server):
    server.fault(FIRST, "cut", "no range")
    folder, _ = fetch(tmp_path, server.url)
    assert_complete(folder)


def test_a_busy_server_is_asked_again(tmp_path, server):
    server.fault(FIRST, "503", "503")
    folder, _ = fetch(tmp_path, server.url)
    assert_complete(folder)


def test_a_wrong_file_is_kept_apart_and_fetched_again(tmp_path, server):
    server.fault(FIRST, "wrong")
    folder, said = fetch(tmp_path, server.url)
    assert_complete(folder)
    (kept,) = (folder / "quarantine").iterdir()
    assert kept.read_bytes() == b"not these bytes"
    assert str(kept) in said


def test_after_two_wrong_files_the_next_mirror_is_asked(tmp_path, server, mirror, monkeypatch):
    monkeypatch.setattr(download, "PUBLIC_HOST", mirror.as_uri())
    server.fault(FIRST, "wrong", "wrong")
    folder, said = fetch(tmp_path, server.url)
    assert_complete(folder)
    assert len(server.ranges_asked(FIRST)) == 2
    assert said.count("wrong sha256") == 2


def test_a_missing_file_comes_from_the_next_mirror(tmp_path, server, mirror, monkeypatch):
    (mirror / SOURCE / FIRST).unlink()
    monkeypatch.setattr(download, "PUBLIC_HOST", server.url)
    folder, _ = fetch(tmp_path, mirror)
    assert_complete(folder)
    assert [path for path, _ in server.requests] == [f"/{SOURCE}{FIRST}"]


def test_nothing_wrong_ever_gets_its_final_name(tmp_path, server):
    server.fault(FIRST, *["wrong"] * 9)
    with pytest.raises(InputError, match=re.escape(FIRST)) as refusal:
        fetch(tmp_path, server.url)
    folder = tmp_path / "data" / "hippocampus"
    assert not (folder / FIRST).exists()
    assert "1 of 8 files" in str(refusal.value)
    assert sum((folder / path).exists() for path in CONTENT) == len(CONTENT) - 1


def test_an_unreachable_mirror_is_one_clear_message(tmp_path):
    with pytest.raises(InputError, match="no mirror could be reached") as refusal:
        fetch(tmp_path, "http://127.0.0.1:9")
    assert "8 of 8 files" in str(refusal.value) and "--mirror" in str(refusal.value)


@pytest.fixture
def archived_set(tmp_path, server, tiny_set, monkeypatch):
    """The tiny set with an official archive on the server, which also holds a stranger's file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path, data in {**CONTENT, "../../stranger": b"no"}.items():
            member = tarfile.TarInfo("Task/" + path.replace("s/", "sTr/"))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    server.files["/Task.tar"] = content.getvalue()
    entry = with_archive(
        tiny_set,
        datasets.OfficialArchive(
            url=server.url + "/Task.tar",
            md5=hashlib.md5(content.getvalue()).hexdigest(),
            folders={"images": "Task/imagesTr", "labels": "Task/labelsTr"},
        ),
    )
    monkeypatch.setitem(datasets.PUBLISHED, "hippocampus", entry)
    return entry


def test_what_no_mirror_has_comes_from_the_official_archive(tmp_path, archived_set, mirror):
    (mirror / SOURCE / FIRST).unlink()
    folder, _ = fetch(tmp_path, mirror)
    assert_complete(folder)
    assert not (tmp_path / "stranger").exists() and not (tmp_path / "data" / "stranger").exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("md5", "0" * 32, "wrong md5"),
        ("url", "http://127.0.0.1:9/Task.tar", "unreachable"),
        ("folders", {"images": "nowhere", "labels": "nowhere"}, "no member nowhere"),
    ],
)
def test_an_archive_that_cannot_serve_is_named(
    tmp_path, archived_set, mirror, monkeypatch, field, value, said
):
    (mirror / SOURCE / FIRST).unlink()
    entry = with_archive(archived_set, replace(archived_set.archive, **{field: value}))
    monkeypatch.setitem(datasets.PUBLISHED, "hippocampus", entry)
    with pytest.raises(InputError, match=said) as refusal:
        fetch(tmp_path, mirror)
    assert FIRST in str(refusal.value)


def test_a_wrong_file_on_the_disk_is_found_and_replaced(tmp_path, mirror):
    folder, _ = fetch(tmp_path, mirror)
    (folder / FIRST).write_bytes(b"edited")
    with pytest.raises(InputError, match=f"{FIRST}: wrong sha256"):
        download.verify("hippocampus", tmp_path / "data")
    folder, said = fetch(tmp_path, mirror)
    assert_complete(folder)
    assert FIRST in said and "quarantine" in said


def test_verify_names_a_missing_file(tmp_path, mirror):
    folder, _ = fetch(tmp_path, mirror)
    assert download.verify("hippocampus", tmp_path / "data") == len(CONTENT)
    (folder / FIRST).unlink()
    with pytest.raises(InputError, match=f"{FIRST}: missing"):
        download.verify("hippocampus", tmp_path / "data")


def test_an_unchanged_file_is_hashed_once(tmp_path, mirror, tiny_set, monkeypatch):
    folder, _ = fetch(tmp_path, mirror)
    hashed = []
    monkeypatch.setattr(verification, "_is_right", lambda *about: hashed.append(about[1]) or True)
    verification.require(tiny_set, folder, list(CONTENT))
    assert hashed == []
    (folder / FIRST).write_bytes(CONTENT[FIRST][::-1] + b"longer")
    verification.require(tiny_set, folder, list(CONTENT))
    assert hashed == [FIRST]


def test_a_subset_stays_a_subset_until_the_rest_is_fetched(tmp_path, mirror):
    fetch(tmp_path, mirror, subset=2)
    assert download.fetched_subset("hippocampus", tmp_path / "data") == 2
    assert download.verify("hippocampus", tmp_path / "data") == 6
    fetch(tmp_path, mirror)
    assert download.fetched_subset("hippocampus", tmp_path / "data") is None


def test_tables_of_patients_and_classes_lie_beside_the_scans(tmp_path, mirror):
    folder, _ = fetch(tmp_path, mirror, subset=2)
    assert len((folder / "patients.csv").read_text().splitlines()) == 1 + 3
    fetch(tmp_path, mirror)
    assert (folder / "patients.csv").read_text().splitlines() == [
        "scan,patient",
        *(f"hippocampus_{number:03},pair {(number + 1) // 2}" for number in (1, 2, 3, 4)),
    ]
    about = json.loads((folder / "dataset.json").read_text())
    assert about["labels"]["posterior hippocampus"] == 2 and about["licence"] == "CC BY-SA 4.0"
    for name in ("imagesTr/mine.nii.gz", "images/._hippocampus_001.nii.gz"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"somebody's")
    before = (folder / "patients.csv").read_text()
    fetch(tmp_path, mirror)
    assert (folder / "patients.csv").read_text() == before, "only scans of the set"
    (folder / "patients.csv").write_text("scan,patient\n")
    fetch(tmp_path, mirror)
    assert (folder / "patients.csv").read_text() == "scan,patient\n", "somebody's own table stays"


def test_a_subset_too_large_is_refused(tmp_path, mirror):
    with pytest.raises(InputError, match="subset of 4"):
        fetch(tmp_path, mirror, subset=4)


def test_the_same_voxels_in_another_container_have_the_same_hash(tmp_path):
    image, label = tiny_image(0), tiny_label()
    plain = write_hdf5(tmp_path / "plain.h5", image, label)
    packed = write_hdf5(tmp_path / "packed.h5", image, label, compression="gzip")
    assert plain.read_bytes() != packed.read_bytes()
    assert verification.voxel_hash(plain) == verification.voxel_hash(packed)
    image[0, 0, 0] = np.nextafter(image[0, 0, 0], np.float32(np.inf))
    other = write_hdf5(tmp_path / "other.h5", image, label)
    assert verification.voxel_hash(other) != verification.voxel_hash(plain)


@pytest.mark.parametrize("tampered", [False, True])
def test_a_rebuilt_scan_counts_as_published_only_if_every_voxel_is(tmp_path, tampered):
    entry = replace(datasets.PUBLISHED["la2018"])
    path, image, label = "folder/SCAN/mri_norm2.h5", tiny_image(0), tiny_label(2)
    published = write_hdf5(tmp_path / "published.h5", image, label)
    entry.__dict__["hashes"] = {path: hashlib.sha256(published.read_bytes()).hexdigest()}
    entry.__dict__["voxel_hashes"] = {"SCAN": verification.voxel_hash(published)}
    label[0, 0, 0] ^= tampered
    write_hdf5(tmp_path / path, image, label, compression="gzip")
    assert verification.wrong_files(entry, tmp_path, [path]) == ([path] if tampered else [])


def test_command_line_round_trip(tmp_path, mirror, capsys):
    place = ["--data-dir", str(tmp_path / "data")]
    assert data_download.main(["fetch", "hippocampus", "--mirror", str(mirror), *place]) == 0
    assert data_download.main(["verify", "hippocampus", *place]) == 0
    assert "8 files, all as published" in capsys.readouterr().out


def test_command_line_lists_and_cites(capsys):
    assert data_download.main(["list"]) == 0
    assert data_download.main(["cite", "la2018"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in datasets.PUBLISHED)
    assert "Xiong" in shown and "share patients" in shown


@pytest.mark.parametrize(
    "arguments", [["cite", "nothing"], ["fetch", "nothing"], ["verify", "hippocampus"]]
)
def test_command_line_says_what_was_wrong_and_exits_with_2(
    arguments, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert data_download.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")
