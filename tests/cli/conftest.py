"""One tiny model and one small folder for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tests.small_folder import labelled_folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "tiny-bundle")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """Four images that the model gets right, one that it gets wrong, one that is damaged."""
    folder = labelled_folder(tmp_path_factory.mktemp("images") / "photos", bundle, right=4, wrong=1)
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder
