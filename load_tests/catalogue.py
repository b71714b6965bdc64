"""Every service's scenarios and tasks."""

from __future__ import annotations

from load_tests import faces, text, vision

_ALL = (*faces.SCENARIOS, *text.SCENARIOS, *vision.SCENARIOS)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
TASKS = {**faces.TASKS, **text.TASKS, **vision.TASKS}

DIALECTS = {"iot": faces.OLD, "text": text.OLD, "vision": vision.OLD}
"""What each service of Pentad's speaks."""
