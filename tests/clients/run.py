#!/usr/bin/env python3
"""Drives real clients through a real gateway against strict mocks of vendors.

    tests/clients/run.py [--sluice PATH] [--only CASE] [--cache FOLDER] [--list]

Prints a line a case; the exit code is 1 if one fails. See README.md beside this file.
"""

import argparse
import concurrent.futures
import re
import shutil
import sys
import tempfile
from pathlib import Path

from cases import Driver, all_cases
from gateway import Gateway
from install import install
from upstream.server import Upstream

ROOT = Path(__file__).resolve().parent.parent.parent
WIDTH = 58


def arguments():
    parser = argparse.ArgumentParser(description="Drives real clients through Sluice.")
    parser.add_argument("--sluice", type=Path, default=ROOT / "target/release/sluice")
    parser.add_argument("--only", default="", help="a regular expression that names cases")
    parser.add_argument("--cache", default="~/.cache/sluice-clients", help="where clients live")
    parser.add_argument("--jobs", type=int, default=3, help="cases at a time")
    parser.add_argument("--keep", action="store_true", help="keep the folder and show the log")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    return parser.parse_args()


def main():
    given = arguments()
    chosen = [(name, case) for name, case in all_cases() if re.search(given.only, name)]
    if given.list or not chosen:
        print("\n".join(name for name, _ in chosen) or "no case has such a name")
        return 0 if given.list else 1
    if not given.sluice.is_file():
        sys.exit(f"no sluice at {given.sluice}: `cargo build --release`, or --sluice PATH")
    clients = install(given.cache)
    folder = Path(tempfile.mkdtemp(prefix="sluice-clients-"))
    upstream = Upstream()
    gateway = Gateway(given.sluice.resolve(), folder, upstream)
    try:
        failed = run(Driver(clients, upstream, gateway.start(), folder), chosen, given.jobs)
    finally:
        gateway.stop()
        upstream.stop()
    if given.keep:
        (folder / "sluice.log").write_text("\n".join(gateway.log))
        print(f"kept {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def run(driver, chosen, jobs):
    """Runs the chosen cases, prints each result as it comes, and returns how many failed."""
    counts = {"ok": 0, "FAIL": 0}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for results in pool.map(lambda one: attempt(driver, *one), chosen):
            for name, reason in results:
                word = "FAIL" if reason else "ok"
                counts[word] += 1
                print(f"{word:<5} {name:<{WIDTH}} {reason}".rstrip(), flush=True)
    for asked in driver.upstream.of(""):
        if asked.broken:
            counts["FAIL"] += 1
            print(f"FAIL  a request of no case: {asked.vendor} refused: {asked.broken}")
    print(f"{counts['ok']} passed, {counts['FAIL']} failed")
    return counts["FAIL"]


def attempt(driver, name, case):
    """A case's results; one that breaks down is a failure of its own."""
    try:
        return case(driver)
    except Exception as error:  # noqa: BLE001, whatever it is, the other cases go on
        return [(name, f"{type(error).__name__}: {error}")]


if __name__ == "__main__":
    sys.exit(main())
