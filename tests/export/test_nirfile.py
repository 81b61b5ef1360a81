"""`.nir` files of old and new layouts; broken files end in one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from neurozsl.errors import BadInput, UnsupportedNode
from neurozsl.export import nirfile
from neurozsl.export.graph import from_nir, to_nir
from neurozsl.signals import BranchSpec

MakeBranch = Callable[..., BranchSpec]


@pytest.fixture(name="file")
def _file(make_branch: MakeBranch, tmp_path: Path) -> Path:
    return nirfile.write(tmp_path / "motion.nir", to_nir(make_branch(synaptic=True)))


def _as_new_layout(path: Path, v_reset: float = 0.0) -> None:
    """What nir >= 1.0.6 adds: v_reset beside the neuron's parameters, arrays gzipped."""
    with h5py.File(path, "r+") as file:
        file["version"][()] = "1.0.8"
        for node in file["node/nodes"].values():
            if "v_threshold" in node:
                shape = node["v_threshold"].shape
                node.create_dataset("v_reset", data=np.full(shape, v_reset), compression="gzip")


def test_the_reader_of_nir_1_0_4_reads_our_files(file: Path) -> None:
    theirs, ours = nir.read(file), nirfile.read(file)
    assert set(theirs.nodes) == set(ours.nodes)
    assert sorted(theirs.edges) == sorted(ours.edges)
    assert theirs.metadata["neurozsl"] == ours.metadata["neurozsl"]


def test_new_files_with_v_reset_are_read_although_nir_1_0_4_fails(file: Path) -> None:
    _as_new_layout(file)
    with pytest.raises(TypeError, match="v_reset"):
        nir.read(file)
    assert len(from_nir(nirfile.read(file)).layers) == 6


def test_a_reset_to_another_value_is_refused(file: Path) -> None:
    _as_new_layout(file, v_reset=-0.2)
    with pytest.raises(BadInput, match=r"resets to \[-0\.2\]"):
        nirfile.read(file)


NODES = {
    "Affine": nir.Affine(weight=np.ones((2, 3)), bias=np.ones(2)),
    "Linear": nir.Linear(weight=np.ones((2, 3))),
    "Scale": nir.Scale(scale=np.ones(2)),
    "IF": nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
    "LI": nir.LI(tau=np.ones(2), r=np.ones(2), v_leak=np.zeros(2)),
    "I": nir.I(r=np.ones(2)),
    "Threshold": nir.Threshold(threshold=np.ones(2)),
    "Delay": nir.Delay(delay=np.ones(2)),
    "Conv1d": nir.Conv1d(5, np.ones((1, 1, 3)), 1, 0, 1, 1, np.ones(1)),
    "Conv2d": nir.Conv2d((5, 5), np.ones((1, 1, 3, 3)), 1, 0, 1, 1, np.ones(1)),
    "SumPool2d": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    "AvgPool2d": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
}


@pytest.mark.parametrize("kind", NODES)
def test_every_node_type_of_the_table_comes_back(kind: str, tmp_path: Path) -> None:
    path = nirfile.write(tmp_path / "one.nir", nir.NIRGraph({"n": NODES[kind]}, []))
    back = nirfile.read(path).nodes["n"]
    assert type(back) is type(NODES[kind])
    for key, value in vars(NODES[kind]).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, getattr(back, key)), key


def test_all_unknown_nodes_are_listed_at_once(file: Path) -> None:
    with h5py.File(file, "r+") as stored:
        for name in ("audio.0", "video.1"):
            del stored[f"node/nodes/{name}/type"]
            stored[f"node/nodes/{name}/type"] = "CubaLI"
    with pytest.raises(UnsupportedNode) as caught:
        nirfile.read(file)
    assert caught.value.found == ("audio.0 (CubaLI)", "video.1 (CubaLI)")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("keep", [0, 7, 100, 2000])
def test_a_truncated_file_is_bad_input_that_names_the_file(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"motion\.nir: truncated or not an HDF5 file"):
        nirfile.read(file)


def test_other_content_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        nirfile.read(tmp_path / "absent.nir")
    text = tmp_path / "text.nir"
    text.write_text("not a graph")
    with pytest.raises(BadInput, match="not an HDF5 file"):
        nirfile.read(text)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = 1
    with pytest.raises(BadInput, match="no NIR graph"):
        nirfile.read(tmp_path / "other.h5")


def test_nan_in_a_file_names_node_and_parameter(file: Path) -> None:
    with h5py.File(file, "r+") as stored:
        stored["node/nodes/audio.1.w/weight"][0, 0] = np.nan
    with pytest.raises(BadInput, match=r"audio\.1\.w\.weight"):
        nirfile.read(file)


def test_a_missing_parameter_is_named(file: Path) -> None:
    with h5py.File(file, "r+") as stored:
        del stored["node/nodes/video.0/tau_mem"]
    with pytest.raises(BadInput, match=r"'video\.0' \(CubaLIF\) lacks tau_mem"):
        nirfile.read(file)


def test_nothing_half_written_stays_when_writing_fails(
    make_branch: MakeBranch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = to_nir(make_branch())

    def stop(path: Path, graph: nir.NIRGraph) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(nir, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        nirfile.write(tmp_path / "motion.nir", graph)
    graph.nodes["audio.0.w"].weight[0, 0] = np.inf
    with pytest.raises(BadInput, match=r"audio\.0\.w\.weight"):
        nirfile.write(tmp_path / "motion.nir", graph)
    assert list(tmp_path.iterdir()) == []


def test_files_of_other_tools_are_read(nir_files: Path) -> None:
    names = sorted(path.name for path in nir_files.glob("*.nir"))
    assert len(names) >= 5
    graphs = {name: nirfile.read(nir_files / name) for name in names}
    spec = from_nir(graphs["lif_norse.nir"], dt_s=1e-4, steps=1000)
    assert spec.layers[0].kappa[0] == pytest.approx(0.04)
    assert len(graphs["cnn_sinabs.nir"].nodes) == 15
    with pytest.raises(UnsupportedNode, match="Conv2d"):
        from_nir(graphs["cnn_sinabs.nir"], dt_s=1e-3, steps=1)
    with pytest.raises(BadInput, match="recurrence"):
        from_nir(graphs["braille_noDelay_bias_zero.nir"], dt_s=1e-4, steps=1)
    with pytest.raises(BadInput, match="v_leak"):
        from_nir(graphs["two_lif_neurons.nir"], dt_s=1e-4, steps=1)
