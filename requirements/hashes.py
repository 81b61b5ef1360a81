"""Write the sha256 of every file that may be installed beside each pin of a requirements file.

usage: python requirements/hashes.py FILE...

Run it after a version was changed. The digests are those that pip's own index lists (whichever
this machine's pip is set to), and of wheels in its find-links folders; nothing is downloaded. Kept
are source archives and wheels for CPython 3.11 to 3.13 on Linux and macOS, x86-64 and ARM. Comments
and markers stay as they are.
"""

import hashlib
import re
import sys
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from pip._internal.commands.download import DownloadCommand
from pip._vendor.packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from pip._vendor.packaging.version import Version

ACCEPT = "application/vnd.pypi.simple.v1+json"
PYTHONS = {f"cp3{minor}" for minor in range(2, 14)}  # of stable ABIs
PLATFORM = re.compile(r"any|(manylinux|musllinux|linux|macosx).*_(x86_64|aarch64|arm64|universal2)")
PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([\w.]+)(;[^\\]*)?")


def main() -> None:
    """Rewrite every file that is named on the command line."""
    command = DownloadCommand("download", "")
    options, _ = command.parse_args(["anything"])
    session = command._build_session(options)
    indexes = [options.index_url, *options.extra_index_urls]
    for path in map(Path, sys.argv[1:]):
        lines = []
        for line in path.read_text().splitlines():
            if line.strip().startswith("--hash="):
                continue
            found = PIN.match(line)
            lines.append(line.rstrip(" \\"))
            if found:
                name, version = canonicalize_name(found[1]), Version(found[2])
                digests = of_folders(options.find_links, name, version)
                for index in indexes:
                    digests |= of_index(session, index, name, version)
                if not digests:
                    sys.exit(f"{path}: no index lists a file of {name} {version}")
                lines[-1] += " \\"
                lines += [f"    --hash=sha256:{one} \\" for one in sorted(digests)]
                lines[-1] = lines[-1].removesuffix(" \\")
        path.write_text("\n".join(lines) + "\n")


def of_index(session: object, index: str, name: str, version: Version) -> set[str]:
    """Digests that an index of the simple API lists."""
    if not index.startswith("http"):
        return set()
    answer = session.get(f"{index.rstrip('/')}/{name}/", headers={"Accept": ACCEPT})  # type: ignore[attr-defined]
    if answer.status_code == 404:
        return set()
    answer.raise_for_status()
    files = answer.json()["files"]
    return {x["hashes"]["sha256"] for x in files if wanted(x["filename"], name, version)}


def of_folders(places: list[str], name: str, version: Version) -> set[str]:
    """Digests of the wheels in folders of this machine."""
    found = set()
    for place in places:
        parts = urlparse(place)
        folder = Path(url2pathname(parts.path) if parts.scheme == "file" else place)
        for file in folder.glob("*.whl") if folder.is_dir() else ():
            if wanted(file.name, name, version):
                with file.open("rb") as stream:
                    found.add(hashlib.file_digest(stream, "sha256").hexdigest())
    return found


def wanted(file: str, name: str, version: Version) -> bool:
    """True for a source archive, or a wheel that some supported machine installs."""
    try:
        if file.endswith((".tar.gz", ".zip")):
            return parse_sdist_filename(file) == (name, version)
        of, at, _, tags = parse_wheel_filename(file)
    except (InvalidWheelFilename, ValueError):
        return False
    if of != name or Version(at.public) != version:
        return False
    return any(
        PLATFORM.fullmatch(tag.platform)
        and (
            tag.interpreter == "py3"
            or (tag.abi == "abi3" and tag.interpreter in PYTHONS)
            or (tag.abi == tag.interpreter and tag.abi in ("cp311", "cp312", "cp313"))
        )
        for tag in tags
    )


if __name__ == "__main__":
    main()
