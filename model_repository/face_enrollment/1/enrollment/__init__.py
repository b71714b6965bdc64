"""An enrollment: its options, jobs, refusals and reports."""
