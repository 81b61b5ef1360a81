"""How long, large and fast a clip may be: what a few bytes of a file claim costs memory and time.

A time stamp decides how often a frame is repeated, a sampling rate how many samples become of one,
a header how large a picture is. Each is compared with these limits before anything is made of it.
"""

from dataclasses import dataclass
from typing import Final

from neurozsl.core.errors import BadInput

MAX_SECONDS: Final = 1800.0  # 20 frames of 64 x 64 px and 16,000 samples a second: 0.6 GB
MAX_PIXELS: Final = 8192 * 4320  # of one frame; 8K
MAX_FPS: Final = 1000
LOWEST_HZ, HIGHEST_HZ = 1_000, 768_000  # of sound


@dataclass(frozen=True)
class ClipLimits:
    """Limits of one clip; `seconds` is `--max-seconds`."""

    seconds: float = MAX_SECONDS

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 86_400:
            raise BadInput(f"longest clip: {self.seconds:g} s; choose above 0 s, up to 86400 s")

    def check_length(self, where: str, seconds: float) -> None:
        """Refuses a length, of pictures or of sound."""
        if not seconds <= self.seconds:
            raise BadInput(
                f"{where}: lasts {seconds:,.0f} s by its time stamps, at most {self.seconds:g} s "
                "are read; cut or repair it, or give a larger --max-seconds"
            )

    def check_frames(self, where: str, frames: int, seconds: float) -> None:
        """Refuses more frames than `seconds` of video can have."""
        if frames > MAX_FPS * (seconds + 1):
            raise BadInput(
                f"{where}: {frames:,} frames in {seconds:.2f} s, at most {MAX_FPS:,} a second are "
                "read; repair its time stamps"
            )


def check_picture(where: str, width: int, height: int) -> None:
    """Refuses the size of a frame that a header states; libav states none of what it refused."""
    if not 0 < width * height <= MAX_PIXELS:
        size = f"of {width} x {height} px" if width else "of no size that could be read"
        raise BadInput(
            f"{where}: frames {size}, at most {MAX_PIXELS / 1e6:.0f} megapixels are read; make "
            "it smaller"
        )


def check_rate(where: str, hertz: int) -> None:
    """Refuses the sampling rate that a header states."""
    if not LOWEST_HZ <= hertz <= HIGHEST_HZ:
        raise BadInput(
            f"{where}: sound of {hertz:,} samples a second, {LOWEST_HZ:,} to {HIGHEST_HZ:,} are "
            "read; convert it"
        )
