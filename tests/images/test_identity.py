"""Ids need the key, seeds follow the pixels, the key stays with its owner."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skinaudit.images.identity import IdentityError, digest_of_images, file_id, image_id, load_key, seed_for

KEY = bytes(range(32))
posix = pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX thing")


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def _hmac(message: bytes) -> str:
    """HMAC-SHA-256 by its definition in RFC 2104."""
    block = KEY.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()[:16]


def test_an_image_id_is_the_keyed_hash_of_shape_and_bytes(pixels: NDArray[np.uint8]) -> None:
    assert image_id(pixels, KEY) == _hmac(b"skinaudit image\x004x6\0" + pixels.tobytes())


def test_an_image_id_depends_on_key_pixels_and_shape_but_not_on_memory_order(pixels: NDArray[np.uint8]) -> None:
    changed = pixels.copy()
    changed[3, 5, 2] ^= 1
    ids = {
        image_id(pixels, KEY),
        image_id(pixels, KEY[::-1]),
        image_id(changed, KEY),
        image_id(pixels.reshape(6, 4, 3), KEY),
    }
    assert len(ids) == 4
    assert image_id(np.asfortranarray(pixels), KEY) == image_id(pixels, KEY)


@pytest.mark.parametrize("wrong", [np.zeros((4, 6, 3)), np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8)])
def test_other_arrays_than_rgb_bytes_are_an_error(wrong: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"Expected pixels as \(H, W, 3\) uint8"):
        image_id(wrong, KEY)
    with pytest.raises(ValueError, match=r"Expected pixels as \(H, W, 3\) uint8"):
        seed_for(wrong)


def test_a_file_id_is_the_same_from_bytes_and_from_disk(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)  # several pieces
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(data)
    assert file_id(tmp_path / "a", KEY) == file_id(tmp_path / "b", KEY) == file_id(data, KEY)
    assert file_id(data, KEY) == _hmac(b"skinaudit file\x003000000\0" + data)


def test_a_file_id_is_never_the_image_id_of_the_same_bytes(pixels: NDArray[np.uint8]) -> None:
    assert file_id(b"4x6\0" + pixels.tobytes(), KEY) != image_id(pixels, KEY)


def test_a_file_id_reads_the_start_of_a_huge_file_and_minds_its_size(tmp_path: Path) -> None:
    for name, size in (("a", 65 * 2**20), ("b", 66 * 2**20)):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(size)  # sparse: takes no space
    assert file_id(tmp_path / "a", KEY) == file_id(bytes(65 * 2**20), KEY)
    assert file_id(tmp_path / "a", KEY) != file_id(tmp_path / "b", KEY)


@posix
def test_what_cannot_be_opened_still_gets_an_id_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "one").symlink_to(tmp_path / "a")
    (tmp_path / "two").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    names = ("a", "one", "two", "pipe", "missing", ".")
    assert len({file_id(tmp_path / name, KEY) for name in names}) == len(names)
    assert file_id(tmp_path / "one", KEY) == file_id(tmp_path / "one", KEY)


def test_seeds_follow_pixels_and_parts(pixels: NDArray[np.uint8]) -> None:
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    seeds = {
        seed_for(pixels),
        seed_for(other),
        seed_for(pixels, 1),
        seed_for(pixels, "1"),
        seed_for(pixels, 1, 2),
        seed_for(pixels, 12),
        seed_for(pixels, "a", "bc"),
        seed_for(pixels, "ab", "c"),
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for(pixels.copy(), 1, "noise") == seed_for(pixels, 1, "noise")


def test_a_seed_is_the_same_on_every_machine_and_in_every_release() -> None:
    # SHA-256 written out by hand: domain, shape, bytes, then each part with its kind and length.
    message = b"skinaudit seed\0" + b"1x1\0" + bytes([1, 2, 3]) + b"i1:7" + b"s5:noise"
    expected = int(hashlib.sha256(message).hexdigest()[:16], 16) // 2
    assert seed_for(np.array([[[1, 2, 3]]], np.uint8), 7, "noise") == expected


def test_the_digest_of_images_minds_repetitions_but_not_order() -> None:
    assert digest_of_images(["b", "a"]) == digest_of_images(iter(["a", "b"]))
    assert len({digest_of_images(ids) for ids in (["a", "b"], ["a", "a", "b"], ["ab"], [])}) == 4
    assert len(digest_of_images([])) == 64


@posix
def test_the_key_is_created_once_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    key = load_key(None)
    path = tmp_path / "skinaudit" / "id.key"
    assert len(key) == 32
    assert path.read_bytes() == key == load_key(None) == load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["id.key"]


@pytest.mark.parametrize("configured", ["", "not/absolute"])
def test_without_a_usable_setting_the_key_lies_below_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", configured)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_key(None) == (tmp_path / ".config" / "skinaudit" / "id.key").read_bytes()


def test_many_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_key(tmp_path / "keys" / "id.key"), range(32)))
    assert len(keys) == 1
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["id.key"]


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_key_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "id.key").write_bytes(KEY)
    (tmp_path / "id.key").chmod(mode)
    with pytest.raises(IdentityError, match=rf"mode 0{mode:o}\); run `chmod 600`"):
        load_key(tmp_path / "id.key")


@posix
def test_links_and_folders_are_no_key(tmp_path: Path) -> None:
    load_key(tmp_path / "id.key")
    (tmp_path / "link").symlink_to(tmp_path / "id.key")
    (tmp_path / "dead").symlink_to(tmp_path / "elsewhere")
    for name in ("link", "dead"):
        with pytest.raises(IdentityError, match="symbolic link"):
            load_key(tmp_path / name)
    with pytest.raises(IdentityError, match="a folder, not a file"):
        load_key(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("size", "said"), [(0, "0 bytes"), (31, "31 bytes"), (5000, "more than 4096 bytes")])
def test_a_key_of_the_wrong_size_is_refused(tmp_path: Path, size: int, said: str) -> None:
    (tmp_path / "id.key").write_bytes(bytes(size))
    (tmp_path / "id.key").chmod(0o600)
    with pytest.raises(IdentityError, match=f"this file has {said}"):
        load_key(tmp_path / "id.key")


def test_a_place_that_cannot_hold_a_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(IdentityError, match=r"cannot be used: .*give another key file"):
        load_key(tmp_path / "file" / "skinaudit" / "id.key")
