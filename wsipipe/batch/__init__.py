"""A cohort: every slide in a worker process of its own, the cohort's table and page."""
