"""Conditions that hold in every test: no network, one thread, no file outside the temporary folder, SIGINT heard."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Before any import of timm or MONAI, which read these once: a test that would download a model fails instead.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch

# A shell starts what it puts into the background with this signal ignored, and commands that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

THREADS = 1  # the suite runs in two processes; threads that wait for each other would slow both


@pytest.fixture(autouse=True)
def _same_threads_in_every_test() -> None:
    """A run sets its own thread count; the next test starts from the usual one."""
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session", autouse=True)
def _configuration_in_a_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The site key for image ids is made in a temporary folder; also in commands that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real dermoscopy images; the test is skipped where there is none."""
    named = os.environ.get("SKINAUDIT_REALDATA")
    if not named:
        pytest.skip("SKINAUDIT_REALDATA does not name a folder of real dermoscopy images")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"SKINAUDIT_REALDATA names {folder}, which is not a folder")
    return folder
