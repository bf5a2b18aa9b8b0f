"""A real Prometheus: started on files that are like those in contrib/, but in seconds instead of minutes, and asked."""

import json
import math
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from e2e.daemons import PATIENCE, Daemon, until

CONTRIB = Path(__file__).parent.parent / "contrib"
ADDRESS = "127.0.0.1:9090"


class Prometheus(Daemon):
    """Prometheus with contrib/prometheus.yml and contrib/alerts.yaml.

    It scrapes and evaluates each second, and alerts wait one second instead of minutes; all else is as it stands there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        for file, pattern, replacement in (
            ("prometheus.yml", r"_interval: 15s$", "_interval: 1s"),
            ("alerts.yaml", r"^( +for): \S+$", r"\1: 1s"),
        ):
            text, count = re.subn(pattern, replacement, (CONTRIB / file).read_text(), flags=re.M)
            assert count, file
            (directory / file).write_text(text)
        command = [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address={ADDRESS}",
        ]
        super().__init__(command, directory / "log", self._answers)

    def series(self, expr: str) -> dict[frozenset[tuple[str, str]], float]:
        """What an expression is now: values by labels, without those that are not a number."""
        rows = self._get("query", query=expr)["result"]
        found = {frozenset(row["metric"].items()): float(row["value"][1]) for row in rows}
        return {labels: value for labels, value in found.items() if math.isfinite(value)}

    def by(self, label: str, expr: str) -> dict[str, float]:
        """What an expression is now: values by one label."""
        return {dict(labels).get(label, ""): value for labels, value in self.series(expr).items()}

    def wait(self, expr: str, value: float) -> None:
        """Wait until all that an expression finds, and that is something, is this."""
        until(lambda: set(self.series(expr).values()) == {value}, f"{expr} is {value:g}")

    def label_values(self, metric: str, label: str) -> list[str]:
        """The values that a label of a metric has."""
        return list(self._get(f"label/{label}/values", **{"match[]": metric}))

    def alerts(self, *states: str) -> dict[tuple[str, str, str], str]:
        """The summaries of the alerts in these states, by name, zone and list."""
        found = {}
        for each in self._get("alerts")["alerts"]:
            if each["state"] in states:
                labels = each["labels"]
                key = labels["alertname"], labels.get("zone", ""), labels.get("list", "")
                found[key] = str(each["annotations"]["summary"])
        return found

    def rules(self) -> list[dict[str, Any]]:
        """All rules, each with its health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"http://{ADDRESS}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{ADDRESS}/-/ready", timeout=PATIENCE) as response:
                return bool(response.status == 200)
        except OSError:
            return False
