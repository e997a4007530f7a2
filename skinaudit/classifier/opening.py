"""One door for every kind of model: what is behind the place or name that a user gave?"""

from __future__ import annotations

from torch import nn

from skinaudit.classifier.bundle import read_bundle
from skinaudit.classifier.code_archive import code_archive
from skinaudit.classifier.description import Description
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.plain import open_plain
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.sketch import check_pass
from skinaudit.classifier.source import ModelSource
from skinaudit.classifier.trusted import open_archive, open_factory
from skinaudit.classifier.weights import check_weights, fit_weights, read_weights


def open_model(source: ModelSource) -> tuple[Description, nn.Module]:
    """Read what is known about a model, and build its network with its weights.

    Raises:
        ModelRefused: There is no model, it cannot be used, or what its user says of it does not belong to its kind.
    """
    if source.place is None:
        return open_factory(source)
    if not source.place.is_file():
        return _open_bundle(source)
    archive = code_archive(source.place)
    if archive is not None:
        return open_archive(source, source.place, archive)
    plain = open_plain(source)
    return plain.description, plain.network


def _open_bundle(source: ModelSource) -> tuple[Description, nn.Module]:
    path = source.place
    if path is None:
        raise ModelRefused(f"{source.name}: is no place. Give the folder that holds configs/ and models/.")
    told = [word for word in source.described() if word.startswith("--") and word != "--trust-code"]
    if path.is_dir() and told:
        raise ModelRefused(f"{source.name}: a bundle says itself what its network is; leave out {', '.join(told)}.")
    bundle = read_bundle(path)
    try:
        state = read_weights(bundle.weights)

        def approve(sketch: nn.Module) -> None:
            check_weights(sketch.state_dict(), state, bundle.weights.name)
            check_pass(sketch, bundle.preprocess.spatial)

        # Before the network takes any memory it is held against the weights, whose size is that of their file.
        network = build_network(bundle.network_target, bundle.network_arguments, approve)
        fit_weights(network, state, bundle.weights.name)
    except ModelRefused as error:
        raise ModelRefused(f"{source.name}: {error}") from error
    return bundle, network
