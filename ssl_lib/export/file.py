"""The file of an exported network: weights, description, a checksum over both, and a probe.

The probe is a small input with the prediction that the network gave when it was exported. Whatever
has changed since (the file, a network's definition, a library), a network that is read either
predicts alike or is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ssl_lib.export.checks import checked_description
from ssl_lib.export.description import VIEW
from ssl_lib.inference import evaluating
from ssl_lib.methods import umct
from ssl_lib.models.ensemble import Ensemble
from ssl_lib.models.networks import build_network
from ssl_lib.utils.atomic import replace_own
from ssl_lib.utils.errors import InputError

FORMAT = "ssl_lib exported network 3"
KINDS = ("small", "unet", "vnet", VIEW)
PROBE_SIDE = 16
PROBE_TOLERANCE = 0.01
"""Largest difference of a probability between the stored prediction and the loaded network's."""


def write_network(path: Path, network: nn.Module, config: Mapping[str, Any]) -> None:
    """Write weights and description, in one step (see `ssl_lib.utils.atomic`)."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    dimensions = 3 if config["geometry"]["axis"] is None else 2
    shape = (1, len(config.get("channels", ["image"])), *[PROBE_SIDE] * dimensions)
    probe = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    tensors |= {"probe.input": probe, "probe.output": _prediction(network, probe)}
    text = json.dumps(config, sort_keys=True, default=str)
    metadata = {"format": FORMAT, "config": text, "sha256": _checksum(tensors, text)}
    replace_own(path, save(tensors, metadata))


def read_network(path: Path) -> tuple[nn.Module, Mapping[str, Any]]:
    """The network of a file, on the CPU, and its description; both checked.

    Raises `InputError` for a file that is missing or of another kind, for weights or a description
    that were changed, and for a network that this version of the code builds otherwise.
    """
    tensors, metadata = _read(path)
    text = metadata.get("config", "")
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"holds weights in {_named(metadata.get('format'))}",
            where=path,
            expected=f"the format {FORMAT!r}",
            fix="export the network anew, with ssl_lib.export.model.export_model",
        )
    if metadata.get("sha256") != _checksum(tensors, text):
        raise InputError(
            "weights or description were changed after they were exported",
            where=path,
            expected=f"the checksum {metadata.get('sha256', '')[:12]}...",
            fix="take the original file",
        )
    config = checked_description(text, path)
    try:
        probe, prediction = tensors.pop("probe.input"), tensors.pop("probe.output")
        network = _built(config["network"], tensors)
        network.load_state_dict(tensors)
        same = (_prediction(network, probe) - prediction).abs().max().item() <= PROBE_TOLERANCE
    except Exception as error:  # whatever a wrong description makes its builder stumble over
        if isinstance(error, InputError):  # of a network that there is not
            raise InputError(error.problem, where=path, expected=error.expected) from None
        raise InputError(
            f"weights and description do not fit each other ({str(error).partition(chr(10))[0]})",
            where=path,
            fix="export the network anew with this version of the code",
        ) from None
    if not same:
        raise InputError(
            "the network of this version of the code predicts otherwise than when it was exported",
            where=path,
            expected=f"the code of commit {config.get('commit', 'unknown')}",
        )
    return network, config


def _named(format_: str | None) -> str:
    return "no format that this repository writes" if format_ is None else f"the format {format_!r}"


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Tensors and metadata of a safetensors file."""
    if not path.is_file():
        raise InputError("there is no such file", where=path, expected="a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception:  # the reader raises several kinds for a damaged header
        raise InputError(
            "is no safetensors file, or a damaged one",
            where=path,
            expected="a .safetensors file that was exported here",
            fix="give its path, or copy it again; a small text file is a pointer of git-lfs, whose"
            " content must be fetched",
        ) from None


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """sha256 over the description and every tensor."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def _prediction(network: nn.Module, probe: Tensor) -> Tensor:
    """The probabilities that a network gives a probe, on the CPU."""
    device = next(network.parameters()).device
    with evaluating(network):
        return network(probe.to(device)).float().softmax(dim=1).cpu().contiguous()


def _built(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network of a description, built only once its sizes are known to be those of the file:
    memory is taken for weights that are there, whatever width is described."""
    with torch.device("meta"):
        sketch = _build(description, "meta").state_dict()
    for name, tensor in sketch.items():
        stored = tensors.get(name)
        if stored is None or (stored.shape, stored.dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(f"{name} is missing, or of another shape or type")
    return _build(description, "cpu")


def _build(description: Mapping[str, Any], device: str) -> nn.Module:
    """The network of a description, with fresh weights."""
    if "members" in description:
        return Ensemble([_build(member, device) for member in description["members"]])
    sizes = {key: description[key] for key in ("dimensions", "n_classes", "width")}
    sizes["channels"] = description.get("channels", 1)
    if description["kind"] not in KINDS:
        raise InputError(
            f"{description['kind']!r} is no kind of network", expected=", ".join(KINDS)
        )
    if description["kind"] != VIEW:
        return build_network(description["kind"], **sizes, seed=0)
    stand_in = SimpleNamespace(
        cohort=SimpleNamespace(
            dimensions=sizes["dimensions"],
            n_classes=sizes["n_classes"],
            n_channels=sizes["channels"],
        ),
        settings=SimpleNamespace(width=sizes["width"]),
        seed=0,
        device=torch.device(device),
    )
    view = tuple(tuple(part) for part in description["view"])
    return umct.view_network(stand_in, 0, views=[view])
