"""Every service's scenarios and tasks."""

from __future__ import annotations

from load_tests import text, vision

SCENARIOS = {scenario.name: scenario for scenario in (*text.SCENARIOS, *vision.SCENARIOS)}
TASKS = {**text.TASKS, **vision.TASKS}
