"""Which family is cheaper at equal HM, on made-up settings."""

from __future__ import annotations

import random
from statistics import mean, stdev

import pytest

from neurozsl.core.errors import BadInput
from neurozsl.studies.frontier_sentence import sentence
from neurozsl.studies.frontier_statement import Offer, Verdict, paired_interval, verdict


def offer(name: str, joules: float, *hms: float, half: float | None = None) -> Offer:
    """A setting; half: of the published interval, over the value."""
    low, high = (None, None) if half is None else (joules * (1 - half), joules * (1 + half))
    return Offer(name, joules, dict(enumerate(hms)), low, high)


def steady(name: str, joules: float, hm: float) -> Offer:
    """A setting whose three seeds differ from each other as those of every other steady one."""
    return offer(name, joules, hm - 1, hm, hm + 1)


def said(found: Verdict) -> str:
    return sentence("A against B", found)


SPIKES = [steady("s3", 1.0, 85.0), steady("s5", 2.0, 88.1), steady("s10", 4.0, 92.0)]


def test_a_family_that_dominates_is_said_to_dominate() -> None:
    dense = [steady("d1", 3.0, 84.0), steady("d2", 5.0, 88.5), steady("d3", 9.0, 92.0)]
    found = verdict(SPIKES, dense)
    assert (found.kind, found.winner) == ("dominates", "first")
    assert said(found) == (
        "A against B: the spiking network dominates: at every HM that the dense network reaches "
        "(up to 92.0) it needs at most as much energy (1.2 to 5.0 times less) (3 seeds)"
    )
    turned = verdict(dense, SPIKES)
    assert (turned.kind, turned.winner) == ("dominates", "second")


def test_a_family_that_is_better_and_cheaper_dominates_where_the_ranges_do_not_meet() -> None:
    found = verdict(SPIKES, [steady("d", 0.5, 95.0)])
    assert (found.kind, found.winner) == ("dominates", "second")
    assert "HM above 92.0, up to 95.0, is reached by the dense network alone" in said(found)


def test_a_cheaper_family_that_reaches_less_does_not_dominate() -> None:
    found = verdict(SPIKES, [steady("d1", 3.0, 85.5), steady("d2", 9.0, 95.0)])
    assert (found.kind, found.winner) == ("cheaper", "first")
    assert "the spiking network is cheaper at HM 85.5 to 92.0" in said(found)
    assert "HM above 92.0, up to 95.0, is reached by the dense network alone" in said(found)


def test_a_crossing_is_found_at_the_right_hm() -> None:
    dense = [steady("d1", 2.6, 84.5), steady("d2", 2.6, 91.9)]
    found = verdict(SPIKES, dense)
    assert found.kind == "crossing" and found.winner is None
    # Up to 88.1 two joules reach it; above, the spikes need four and the dense network 2.6.
    assert [(x.start, x.to, x.cheaper) for x in found.stretches] == [
        (85.0, 88.1, "first"),
        (88.1, 91.9, "second"),
    ]
    assert "the spiking network is cheaper up to HM 88.1 (1.3 to 2.6 times)" in said(found)
    assert "the dense network is cheaper above HM 88.1 (1.5 times)" in said(found)


def test_a_tie_is_called_a_tie() -> None:
    dense = [steady("d1", 1.04, 85.0), steady("d2", 1.93, 88.1), steady("d3", 4.0, 92.0)]
    found = verdict(SPIKES, dense)
    assert (found.kind, found.winner) == ("tie", None)
    assert said(found) == "A against B: a tie at HM 85.0 to 92.0 (3 seeds)"
    assert verdict(SPIKES, SPIKES).kind == "tie"


def test_energies_within_the_smaller_published_interval_are_a_tie() -> None:
    one = [offer("s", 1.0, 90.0, 91.0, half=0.3)]
    assert verdict(one, [offer("d", 1.2, 90.0, 91.0, half=0.4)]).kind == "tie"
    assert verdict(one, [offer("d", 1.2, 90.0, 91.0, half=0.1)]).kind == "dominates"
    assert verdict(one, [offer("d", 1.2, 90.0, 91.0)]).kind == "dominates"  # one interval: 5 %


def test_ranges_of_hm_that_do_not_meet_are_not_comparable() -> None:
    found = verdict(SPIKES, [steady("d", 5.0, 95.0)])
    assert (found.kind, found.levels) == ("not comparable", ())
    assert said(found) == (
        "A against B: not comparable, HM 85.0 to 92.0 and 95.0 do not meet (3 seeds)"
    )


def test_ranges_that_may_meet_within_the_interval_are_undecided() -> None:
    first = [offer("s", 1.0, 80.0, 92.0, 84.0)]  # 85.3, but once above the other family
    found = verdict(first, [offer("d", 5.0, 90.0, 90.5, 91.0)])
    assert (found.kind, found.levels) == ("undecided", ())
    assert "HM 85.3 and 90.5 differ by less than they scatter" in said(found)


def test_what_the_seeds_leave_open_is_undecided() -> None:
    """The dear setting is better in the mean by less than its differences scatter."""
    first = [offer("s1", 1.0, 80.0, 90.0, 84.0), offer("s2", 4.0, 89.0, 86.0, 90.0)]
    second = [offer("d", 2.0, 88.0, 88.0, 88.0)]
    found = verdict(first, second)
    # By the means the dense network is cheaper at 88, yet s1 may reach it: -8, +2, -4.
    low, high = paired_interval([-8.0, 2.0, -4.0]) or (0.0, 0.0)
    assert low < 0 < high
    assert [x.cheaper for x in found.levels] == ["undecided"]
    assert "the seeds do not decide" in said(found)
    # The same means, each difference the same in every seed.
    sure = [offer("s1", 1.0, 84.0, 85.0, 85.0), offer("s2", 4.0, 88.0, 89.0, 89.0)]
    again = verdict(sure, [offer("d", 2.0, 87.9, 88.9, 88.9)])
    assert [x.cheaper for x in again.levels if x.hm > 88] == ["second"]


def test_the_order_of_settings_and_seeds_does_not_matter() -> None:
    draw = random.Random(0)
    first = [offer(f"s{k}", draw.uniform(1, 9), *draw.choices(range(80, 99), k=3)) for k in "abcd"]
    second = [offer(f"d{k}", draw.uniform(1, 9), *draw.choices(range(80, 99), k=3)) for k in "abcd"]
    wanted = verdict(first, second)
    for _ in range(20):
        draw.shuffle(first)
        draw.shuffle(second)
        turned = [
            Offer(x.name, x.joules, dict(sorted(x.hm.items(), key=lambda _: draw.random())))
            for x in first
        ]
        assert verdict(turned, second) == wanted


def test_levels_hold_the_cheapest_setting_that_reaches_them() -> None:
    """Against a search of all pairs, over made-up families."""
    draw = random.Random(1)
    for _ in range(200):
        first, second = (
            [offer(f"{n}{k}", draw.uniform(1, 9), draw.uniform(80, 99)) for k in range(4)]
            for n in "sd"
        )
        for level in verdict(first, second).levels:
            for family, name, joules in (
                (first, level.first, level.first_joules),
                (second, level.second, level.second_joules),
            ):
                reach = {x.name: x.joules for x in family if x.mean >= level.hm}
                assert reach[name] == joules == min(reach.values())


def test_one_seed_gives_no_interval_and_says_so() -> None:
    found = verdict([offer("s", 1.0, 90.0)], [offer("d", 3.0, 90.0)])
    assert found.seeds == 1 and said(found).endswith("(one seed, so no interval)")
    assert paired_interval([1.0]) is None


def test_the_interval_is_students() -> None:
    """t with two degrees of freedom: 97.5 % lie below 4.3027 (any printed table)."""
    values = [1.0, 4.0, 2.5]
    half = 4.3027 * stdev(values) / 3**0.5
    found = paired_interval(values)
    assert found == pytest.approx((mean(values) - half, mean(values) + half), rel=1e-3)
    many = paired_interval([0.0, 1.0] * 20)
    assert many is not None and many[0] < 0.5 < many[1]


def test_families_without_settings_or_with_other_seeds_are_refused() -> None:
    with pytest.raises(BadInput, match="no setting"):
        verdict(SPIKES, [])
    with pytest.raises(BadInput, match="different seeds"):
        verdict(SPIKES, [offer("d", 1.0, 90.0)])
