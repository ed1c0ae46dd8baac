"""A figure with what is wanted of it and Airflow's beside it; as a line and as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = f"{'':52}{'wanted':>12}{'measured':>14}{'Airflow':>14}{'ours is':>10}  verdict"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure, a value for each round; the median counts."""

    name: str
    unit: str
    rounds: Sequence[float]
    wanted: float | None = None
    """None: it is published, and nothing was promised."""
    more_is_better: bool = False
    airflow: float | None = None
    """The same of Airflow, where it has such a thing and was measured."""
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return median(self.rounds)

    @property
    def ours_is(self) -> float | None:
        """How many times as good as Airflow's it is."""
        if self.airflow is None:
            return None
        return self.value / self.airflow if self.more_is_better else self.airflow / self.value

    @property
    def verdict(self) -> str:
        """Whether it is what was wanted."""
        if self.wanted is None:
            return ""
        met = self.value >= self.wanted if self.more_is_better else self.value <= self.wanted
        return "met" if met else "missed"

    def line(self) -> str:
        """Return it as a line under HEAD."""
        sign = ">=" if self.more_is_better else "<="
        wanted = "" if self.wanted is None else f"{sign} {self.wanted:g}"
        airflow = "" if self.airflow is None else f"{number(self.airflow)} {self.unit}"
        ours_is = "" if self.ours_is is None else f"{number(self.ours_is)} x"
        measured = f"{number(self.value)} {self.unit}"
        return f"{self.name:52}{wanted:>12}{measured:>14}{airflow:>14}{ours_is:>10}  {self.verdict}".rstrip()

    def plain(self) -> dict[str, object]:
        """Return it for JSON, every round included."""
        found: dict[str, object] = {
            "name": self.name, "unit": self.unit, "wanted": self.wanted,
            "more_is_better": self.more_is_better, "measured": _rounded(self.value),
            "verdict": self.verdict or "nothing was promised", "rounds": [_rounded(value) for value in self.rounds],
        }  # fmt: skip
        if self.airflow is not None and self.ours_is is not None:
            found |= {"airflow": _rounded(self.airflow), "ours_is": _rounded(self.ours_is)}
        return found | ({"note": self.note} if self.note else {})


def number(value: float) -> str:
    """Return a number as short as it can be read: three digits, and all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _rounded(value: float) -> float:
    return round(value, 3)
