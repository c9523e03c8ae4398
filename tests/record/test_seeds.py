"""Seeds by name: independent of each other, and the same everywhere."""

from __future__ import annotations

from workbench.record.seeds import derive, derive_each


def test_a_seed_is_the_same_on_every_machine_and_in_every_release() -> None:
    # Changing these numbers would change the result of every study there is.
    assert derive(0) == 7520536977032167579
    assert derive(7, "order", 3) == 7057241712520603416


def test_every_purpose_and_every_seed_has_numbers_of_its_own() -> None:
    seeds = {
        derive(seed, purpose, number)
        for seed in range(10)
        for purpose in ("order", "head", "split")
        for number in range(10)
    }
    assert len(seeds) == 300
    assert derive(1, "1") != derive(1, 1), "a word is no number"
    assert derive(1, "a", "b") != derive(1, "ab")
    assert derive(1, "a", "b") != derive(1, "b", "a")


def test_seeds_of_many_numbers_are_those_of_each() -> None:
    numbers = [0, 7, 10**6]
    expected = [derive(3, "augmentation", 2, number) for number in numbers]
    assert derive_each(3, "augmentation", 2, numbers=numbers) == expected


def test_seeds_fill_the_range_that_generators_accept() -> None:
    seeds = [derive(seed, "range") for seed in range(1000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62 > min(seeds)
