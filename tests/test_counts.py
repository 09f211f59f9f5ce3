"""Counts: a number and its formula from one object."""

import pytest

from specdsl.counts import Count, number, product, total


@pytest.mark.parametrize(
    ("count", "value", "derivation"),
    [
        (Count(((5, 5, 3, 32), (32,))), 2432, "5·5·3·32 + 32 = 2,432"),
        (Count(((32,), (32,), (32,), (32,))), 128, "4·32 = 128"),
        (Count(((1600, 43), (43,))), 68843, "1600·43 + 43 = 68,843"),
        (Count(((32,),)), 32, "32"),
        (Count(((1600,),)), 1600, "1,600"),
        (Count(((),)), 1, "1"),
        (Count(), 0, "0"),
        (Count(((3, None), (4,))), None, "3·? + 4 = ?"),
    ],
)
def test_value_and_derivation_agree(count: Count, value: int | None, derivation: str) -> None:
    assert count.value == value
    assert count.derivation == derivation


def test_equal_terms_are_gathered_wherever_they_stand() -> None:
    assert Count(((2, 3), (4,), (2, 3))).formula == "2·2·3 + 4"


def test_counts_add_and_multiply_without_losing_their_derivation() -> None:
    count = 3 * (product(5, 7) + product(7))
    assert count.value == 3 * (35 + 7)
    assert count.formula == "3·5·7 + 3·7"


def test_an_unknown_size_makes_the_whole_count_unknown() -> None:
    assert (product(2, 3) + product(None, 4)).value is None
    assert total([product(2), product(None)]) is None
    assert total([product(2), product(3, 4)]) == 14


def test_numbers_for_people() -> None:
    assert number(1234567) == "1,234,567"
    assert number(None) == "?"
