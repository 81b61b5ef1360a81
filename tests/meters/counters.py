"""A stand-in for the kernel's powercap folder: counters that every call of the work moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from neurozsl.meters import rapl


class Counters:
    """Zones in the kernel's layout; `each`: microjoules that one call takes in each of them.

    A zone of a package, such as its memory, lies beside it as intel-rapl:0:1.
    """

    def __init__(
        self,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        each: Mapping[str, int],
        *,
        start: int = 5_000,
        most: int = 262_143_328_850,
    ) -> None:
        self.files: dict[Path, int] = {}
        self.most, self.calls = most, 0
        package, part = -1, 0
        for name, joules in each.items():
            if name.startswith("package") or name == "psys":
                package, part, place = package + 1, 0, f"{package + 1}"
            else:
                place, part = f"{package}:{part}", part + 1
            zone = root / f"intel-rapl:{place}"
            zone.mkdir()
            (zone / "name").write_text(name + "\n")
            (zone / "max_energy_range_uj").write_text(f"{most}\n")
            (zone / "energy_uj").write_text(f"{start}\n")
            self.files[zone / "energy_uj"] = joules
        (root / "intel-rapl").mkdir()  # the kernel's control, no zone
        monkeypatch.setattr(rapl, "ROOT", root)

    def work(self) -> None:
        """One call."""
        self.calls += 1
        for file, joules in self.files.items():
            now = int(file.read_text()) + joules
            file.write_text(f"{now if now <= self.most else now - self.most}\n")

    def around(self, work: Callable[[], object]) -> Callable[[], None]:
        """Other work, which takes the same."""

        def both() -> None:
            work()
            self.work()

        return both
