"""The sections of a report, a file each (`registry`), and what fills them.

`build`, `network` and `uniform` profile a run, a file and an estimate; `document` lets every
section fill its part. `motion` runs the branch, `costs` counts and prices it, `host` measures the
host part, `pictures` looks at one clip.
"""
