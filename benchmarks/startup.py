"""How long starting takes: `import ematix_core`, `flow --help` and `flow list`, against `python -c pass`.

`python -m benchmarks.startup --rounds 10`.
"""

from __future__ import annotations

import argparse
import json
from statistics import median

from benchmarks.machine import describe
from benchmarks.measure import Usage, measure
from benchmarks.places import HERE, RESULTS, Ours


def main() -> None:
    """Measure the commands in alternation and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="rounds; the median counts")
    rounds = parser.parse_args().rounds
    ours = Ours.prepared()
    commands = {
        "python -c pass": (str(ours.python), "-c", "pass"),
        "import ematix_core": (str(ours.python), "-c", "import ematix_core"),
        "flow --help": (str(ours.flow), "--help"),
        "flow list": (str(ours.flow), "list", "pipelines.py"),
    }
    runs: dict[str, list[Usage]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            usage = measure(command, cwd=HERE / "ours")
            if number:  # the first round reads the files from disk
                runs[name].append(usage)
    bare = next(iter(runs.values()))
    figures = {}
    print(f"{'':22}{'wall s':>9}{'cpu s':>9}{'peak MiB':>10}{'x python':>10}")
    for name, found in runs.items():
        ratio = median(mine.seconds / other.seconds for mine, other in zip(found, bare, strict=True))
        seconds, cpu = median(run.seconds for run in found), median(run.cpu_seconds for run in found)
        peak = median(run.peak_mib for run in found)
        figures[name] = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3), "peak_mib": round(peak, 1)}
        print(f"{name:22}{seconds:>9.3f}{cpu:>9.3f}{peak:>10.0f}{ratio:>9.1f} x")
    path = RESULTS / "startup.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**describe(ours.python), "commands": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
