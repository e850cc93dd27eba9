"""Alerts, dashboard and runbook speak of what a running posternd really shows.

Every metric and every label value that an expression names must be on /metrics of a daemon that has
delivered a message and has asked a policy client.
"""
import json
import os
import re
import unittest

import yaml

from daemon import parse_metrics
from deploy_files import DEPLOY
from running import eventually
from scenario import Scenario

SELECTOR = re.compile(r"\b(postern_[a-z0-9_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def alerts():
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    dashboard = json.loads((DEPLOY / "grafana/postern.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions():
    """(where, PromQL) of everything that is shipped."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def names():
    return {name for _, expression in expressions() for name, _ in SELECTOR.findall(expression)}


class Observed(Scenario):
    def metrics_of_a_busy_daemon(self):
        self.dns.domain("a.test")
        log = os.path.join(self.directory, "dispositions.log")
        audit = os.path.join(self.directory, "audit.log")
        self.make_daemon(server={"disposition_log": {"path": log}},
                         policy={"audit_log": {"path": audit}}).start()
        self.daemon.policy()
        self.deliver("r@a.test")
        shown = {}

        def complete():  # those of the queues are brought together now and then
            shown.update(parse_metrics(self.daemon.get("/metrics")[1]))
            return names() <= set(shown)

        try:
            eventually(complete, 20)
        except AssertionError:
            pass  # told one by one
        return shown

    def test_every_metric_that_is_named_is_shown(self):
        shown = self.metrics_of_a_busy_daemon()
        for where, expression in expressions():
            for name, matchers in SELECTOR.findall(expression):
                with self.subTest(where, metric=name):
                    self.assertTrue(name in shown, name)
                    self.check_labels(shown[name], matchers)

    def check_labels(self, series, matchers):
        for label, operator, text in MATCHER.findall(matchers):
            values = {labels[label] for labels, _ in series if label in labels}
            if label in ("instance", "job") or text.startswith("$"):
                continue
            self.assertTrue(values, f"no label {label}")
            for value in text.split("|") if "~" in operator else [text]:
                self.assertTrue(any(re.fullmatch(value, v) for v in values), (value, values))

    def test_labels_that_expressions_group_by_are_shown(self):
        shown = self.metrics_of_a_busy_daemon()
        for where, expression in expressions():
            metrics = [name for name, _ in SELECTOR.findall(expression)]
            for group in re.findall(r"\bby \(([^)]*)\)", expression):
                for label in {w.strip() for w in group.split(",")} - {"instance", "job"}:
                    with self.subTest(where, label=label):
                        self.assertTrue(any(label in labels for name in metrics
                                            for labels, _ in shown[name]))


class Runbook(unittest.TestCase):
    def test_every_alert_has_a_section_and_names_it(self):
        headings = re.findall(r"^## (\w+)$", (DEPLOY / "RUNBOOK.md").read_text(), re.M)
        self.assertEqual(headings, [rule["alert"] for rule in alerts()])
        for rule in alerts():
            self.assertEqual(rule["annotations"]["runbook"],
                             "deploy/RUNBOOK.md#" + rule["alert"].lower())
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"))

    def test_every_alert_is_tested(self):
        tested = yaml.safe_load((DEPLOY.parent / "tests/deploy/alerts_test.yaml").read_text())
        names = {case["alertname"] for test in tested["tests"] for case in test["alert_rule_test"]
                 if case.get("exp_alerts")}
        self.assertEqual(names, {rule["alert"] for rule in alerts()})


class Dashboard(unittest.TestCase):
    def test_grafana_can_load_it(self):
        dashboard = json.loads((DEPLOY / "grafana/postern.json").read_text())
        for key in ("title", "uid", "schemaVersion", "panels", "templating"):
            self.assertIn(key, dashboard)
        every = dashboard["panels"]
        self.assertEqual(len({p["id"] for p in every}), len(every))
        taken = set()
        for panel in every:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(taken & cells, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            taken |= cells
        for panel in panels():
            self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${source}"})
            self.assertTrue(panel["description"])
            for target in panel["targets"]:
                self.assertIn('instance=~"$instance"', target["expr"], panel["title"])


if __name__ == "__main__":
    unittest.main()
