"""Checkpoint files: damage on the disk never changes a checkpoint that is loaded."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.errors import InputError, InputWarning
from jaxstyle.files import load_checkpoint, save_checkpoint
from jaxstyle.run.checkpoint import Checkpoint


def make(count, rng):
    image, values = (jnp.asarray(rng.random(shape), "float32") for shape in ((2, 3, 3), (2, count)))
    terms = dict(zip(("content", "style"), values, strict=True))
    return Checkpoint(0, count, count, terms, image, [image, jnp.asarray([count])])


def same(one, other):
    arrays = zip(*([*c.terms.values(), c.image, *c.leaves] for c in (one, other)), strict=False)
    numbers = one[:3] == other[:3] and len(one.leaves) == len(other.leaves)
    numbers = numbers and list(one.terms) == list(other.terms)
    return numbers and all(np.array_equal(a, b) for a, b in arrays)


@pytest.fixture
def saved(tmp_path, rng):
    """Two checkpoints, and the file of the newer one."""
    older, newer = make(2, rng), make(3, rng)
    save_checkpoint(tmp_path, older)
    return older, newer, save_checkpoint(tmp_path, newer)


def test_only_the_last_two_checkpoints_stay(tmp_path, saved, rng):
    save_checkpoint(tmp_path, make(4, rng))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-000000003.npz",
        "checkpoint-000000004.npz",
    ]


def test_a_flipped_bit_never_changes_a_loaded_checkpoint(tmp_path, saved):
    older, newer, path = saved
    whole, fallen_back = path.read_bytes(), 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = load_checkpoint(tmp_path)
        assert found is not None
        assert same(found, older if caught else newer), place
        if caught:
            fallen_back += 1
            (message,) = caught
            assert str(message.message) == (
                f"{path}: is damaged; continuing from the checkpoint before it, "
                "checkpoint-000000002.npz"
            )
            assert not path.exists()
    assert fallen_back > len(whole) / 4


@pytest.mark.parametrize("size", [0, 10, 500, -1])
def test_a_file_that_was_cut_off_is_not_loaded(tmp_path, saved, size):
    older, _, path = saved
    path.write_bytes(path.read_bytes()[:size])
    with pytest.warns(InputWarning, match="is damaged; continuing from"):
        assert same(load_checkpoint(tmp_path), older)


def test_damage_to_all_of_them_is_one_line(tmp_path, saved):
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(
        InputError, match=r"checkpoint-000000003\.npz: is damaged, like all"
    ) as message:
        load_checkpoint(tmp_path)
    assert "\n" not in str(message.value)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_without_checkpoints(tmp_path):
    assert load_checkpoint(tmp_path) is None
