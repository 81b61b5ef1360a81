"""Places of the right name per clip, against sorting; windows of a clip count once."""

import numpy as np
import pytest
import torch

from neurozsl import models
from neurozsl.core.errors import BadInput
from neurozsl.data.batch import SPLITS, Split, ZSLData
from neurozsl.models.base import embed
from neurozsl.scoring.ranking import place_of, ranking, rankings


def test_a_place_is_that_of_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        distance = rng.integers(0, 6, 12).astype(float)
        label = int(rng.integers(12))
        order = np.argsort(distance, kind="stable").tolist()
        assert place_of(distance, label) == order.index(label)


def test_places_become_shares_with_wilsons_interval_and_chance() -> None:
    found = ranking("clips", [0, 0, 3, 7], 20)
    assert found.top[1].right == 2 and found.top[5].right == 3 and found.clips == 4
    assert found.top[1].low == pytest.approx(15.0, abs=0.1)  # of 2 in 4, by the printed formula
    assert found.chance == {1: 5.0, 5: 25.0}
    assert ranking("few", [0], 3).chance[5] == 100.0
    with pytest.raises(BadInput, match="0 clips"):
        ranking("none", [], 3)


def test_windows_of_a_clip_are_averaged_before_they_are_ranked() -> None:
    rng = np.random.default_rng(1)
    splits = {}
    for name in SPLITS:
        label = np.repeat([0, 1, 2, 3], 3)
        names = tuple(f"{name}-{i // 3}.mp4#{i % 3}s" for i in range(12))
        audio, video = (rng.random((12, 1, 16)).astype(np.float32) for _ in range(2))
        splits[name] = Split(name, audio, video, label, np.ones((12, 1), bool), names)
    vectors = np.linalg.qr(rng.normal(size=(300, 7)))[0].T.astype(np.float32)
    data = ZSLData("made", tuple("abcdefg"), vectors, splits, False, 1.0, {})
    torch.manual_seed(0)
    model = models.build("avca", audio_dim=16, video_dim=16, score="video").eval()
    places = []
    with torch.no_grad():
        words = model.embed_words(torch.from_numpy(vectors))
        for name in ("test_seen", "test_unseen"):
            heads = embed(model, splits[name].batch()).heads
            each = torch.cdist(heads[0], words).double().numpy()
            for clip in range(4):
                mean = each[3 * clip : 3 * clip + 3].mean(0)
                places.append(np.argsort(mean, kind="stable").tolist().index(clip))
    all_tests, seen, unseen = rankings(model, data, head_weight=0.0, untrained=False)
    assert (all_tests.clips, seen.clips, unseen.clips, all_tests.names) == (8, 4, 4, 7)
    for k in (1, 5):
        assert all_tests.top[k].right == sum(place < k for place in places)
        assert seen.top[k].right + unseen.top[k].right == all_tests.top[k].right
    first, *others = rankings(model, data, head_weight=0.0, untrained=True)
    assert first.clips == 20 and [x.clips for x in others] == [8, 4, 4]
