"""Packages of toy submissions."""

from run_fakes import plan_of

from golf.artifact.package import finished_runs, make_package
from golf.run.store import open_store


def package_of(folder, **options):
    plan = plan_of(folder)
    with open_store(plan.root) as store:
        runs = finished_runs(store, folder, smoke=True)
    return make_package(plan, runs, **options)
