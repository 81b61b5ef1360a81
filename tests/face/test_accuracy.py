"""`nz.accuracy`: a file and its bundle, labels as a file and as an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurozsl as nz
from tests.factories import labelled


def test_a_file_is_scored_in_float_and_at_every_width(tmp_path: Path) -> None:
    net, x, y = labelled.write(tmp_path, ones=8, zeros=12)
    said: dict[str, Any] = {"reset": "zero", "dt_s": 1e-3}
    score = nz.accuracy(net, x, y, chip="loihi2", **said)
    found = [(row.name, row.accuracy and row.accuracy.right, row.shipped) for row in score.rows]
    assert found == [("float", 20, False), ("8 bits", 20, True), ("4 bits", 12, False)]
    assert score.verdict == "PASS"
    worse = nz.accuracy(net, x, np.load(y), chip="loihi2", bits=(4,), **said)
    assert worse.verdict == "FAIL" and "drop 40.0 points, limit 2" in worse.reason
    assert worse.labels_sha256 == "" and worse.input_sha256 == score.input_sha256
    alone = nz.accuracy(str(net), str(x), [1] * 8 + [0] * 12, readout="first", **said)
    assert [(r.name, r.shipped) for r in alone.rows] == [("float", True)]
    assert alone.verdict == "PASS" and alone.shipped.accuracy == score.rows[0].accuracy


def test_labels_of_another_length_or_type_name_both_sides(tmp_path: Path) -> None:
    net, x, y = labelled.write(tmp_path)
    with pytest.raises(nz.BadInput, match="labels: 3 labels, the input has 20 samples"):
        nz.accuracy(net, x, [0, 1, 0], reset="zero", dt_s=1e-3)
    with pytest.raises(nz.BadInput, match="does not exist"):
        nz.accuracy(net, x, tmp_path / "none.npy", reset="zero", dt_s=1e-3)
    assert y.is_file()
