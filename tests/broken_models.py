"""Files of exported weights that cannot be right, some of them sealed with a checksum that is."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from breaking import Broken, group, missing
from broken_runs import Command
from safetensors import safe_open
from safetensors.torch import save_file

from ssl_lib.export import file as model_file
from ssl_lib.export.file import write_network
from ssl_lib.export.model import load_model
from ssl_lib.models.networks import build_network

SIZES = {"dimensions": 3, "n_classes": 3, "width": 4}
DESCRIPTION = {
    "row": "bcp",
    "class_names": ["background", "front", "back"],
    "values": [0, 1, 2],
    "geometry": {"axis": None, "factors": [1, 1, 1]},
    "inference": {"window": [16, 16, 16], "stride": None, "standardise": True},
    "network": {"kind": "small", **SIZES},
    "training": {"spacing": [1.0, 1.0, 1.0], "orientations": ["RAS"], "grey": [0.0, 1.0]},
    "scores": {},
}


def exported_bytes(path: Path) -> Path:
    """A file of exported weights that were never trained."""
    write_network(path, build_network("small", **SIZES, seed=0), DESCRIPTION)
    return path


def exported(change: Callable[[bytes], bytes]):
    """Makes `row.safetensors`, its bytes changed."""

    def make(folder: Path) -> Path:
        path = exported_bytes(folder / "row.safetensors")
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def rewritten(change: Callable[[SimpleNamespace], None], *, seal: bool = True):
    """Makes `row.safetensors` with other tensors, description or metadata, its checksum renewed."""

    def make(folder: Path) -> Path:
        path = exported_bytes(folder / "row.safetensors")
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata())
        parts = SimpleNamespace(
            tensors=tensors, metadata=metadata, config=json.loads(metadata["config"])
        )
        change(parts)
        if "config" in metadata:
            metadata["config"] = getattr(parts, "text", None) or json.dumps(parts.config)
        if seal:
            metadata["sha256"] = model_file._checksum(tensors, metadata.get("config", ""))
        save_file(tensors, path, metadata)
        return path

    return make


def described(place: str, value: object):
    """The same with one value of the description exchanged."""

    def change(parts: SimpleNamespace) -> None:
        *folders, name = place.split(".")
        inside = parts.config
        for folder in folders:
            inside = inside[folder]
        inside[name] = value

    return rewritten(change)


def head(change: Callable[[torch.Tensor], torch.Tensor]):
    """The same with other weights of the head."""
    return rewritten(lambda p: p.tensors.update({"head.weight": change(p.tensors["head.weight"])}))


EXPORTED: tuple[Broken, ...] = (
    *group(
        "exported",
        load_model,
        ("nothing", missing("row.safetensors"), "no such file"),
        ("empty", exported(lambda c: b""), "no safetensors file"),
        ("cut off", exported(lambda c: c[:-40]), "damaged"),
        ("a pickle", exported(lambda c: pickle.dumps(Command())), "no safetensors"),
        ("a header of 2^63 bytes", exported(lambda c: struct.pack("<Q", 2**63) + c[8:]), "damaged"),
        (
            "a header of a terabyte",
            exported(lambda c: struct.pack("<Q", 10**12) + c[8:]),
            "damaged",
        ),
        ("a header that is no JSON", exported(lambda c: c[:8] + b"[" + c[9:]), "damaged"),
        (
            "no metadata",
            rewritten(lambda p: p.metadata.clear(), seal=False),
            "no format that this repository writes",
        ),
        (
            "another format",
            rewritten(lambda p: p.metadata.update(format="pt")),
            "the format 'pt'",
        ),
        (
            "changed weights",
            rewritten(lambda p: p.tensors["head.weight"].mul_(2), seal=False),
            "were changed",
        ),
        (
            "changed weights, sealed again",
            rewritten(lambda p: p.tensors["head.weight"].mul_(-9)),
            "predicts otherwise",
        ),
        ("no description", rewritten(lambda p: p.metadata.pop("config")), "description"),
        (
            "a description nested too deep",
            rewritten(lambda p: setattr(p, "text", "[" * 200_000)),
            "description",
        ),
        ("another shape", head(lambda t: t[:1].clone()), "another shape"),
        ("whole numbers", head(lambda t: t.long()), "shape or type"),
        ("half a float", head(lambda t: t.bfloat16()), "shape or type"),
        (
            "a tensor is missing",
            rewritten(lambda p: p.tensors.pop("head.bias")),
            "head.bias is missing",
        ),
        ("no probe", rewritten(lambda p: p.tensors.pop("probe.input")), "probe.input"),
        ("a width of a billion", described("network.width", 10**9), "network"),
        ("a width of 10000", described("network.width", 10**4), "another shape"),
        ("a network of 5D", described("network.dimensions", 5), "classes and geometry"),
        ("an unknown network", described("network.kind", "big"), "no kind of network"),
        ("code elsewhere", described("network.kind", "../x"), "no kind of network"),
        ("members of members", described("network", {"members": [{"members": []}]}), "network"),
        (
            "a class too many",
            described("class_names", ["air", "a", "b", "c"]),
            "value for each class",
        ),
        ("half of a character", described("class_names", ["a", "\ud800", "c"]), "class_names"),
        ("a value of 999", described("values", [0, 1, 999]), "values"),
        ("no axis", described("geometry", {}), "geometry.axis"),
        ("downsampled by 0", described("geometry.factors", [0, 1, 1]), "geometry.factors"),
        ("a window of text", described("inference.window", "all"), "inference.window"),
        ("a voxel size of 0", described("training.spacing", [0, 1, 1]), "training.spacing"),
    ),
)
