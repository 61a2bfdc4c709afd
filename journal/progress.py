"""The form in which long work reports its progress: a function that receives how much is done, and of how much."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # (done, total)
