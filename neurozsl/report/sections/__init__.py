"""The sections of a report, each from what it needs: `build` and `network` join them.

`motion` runs the branch and keeps its spikes, `costs` counts and prices them, `recognition` and
`embedding` look at the predictions, `pictures` at one clip, `deployment` at the bundle, `subject`
and `provenance` say what was profiled and how to get the same numbers.
"""
