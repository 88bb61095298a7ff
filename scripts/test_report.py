#!/usr/bin/env python3
"""Adds up what the stages of scripts/test.sh left in a folder, and prints one line: N passed, N failed, N skipped.

A GoogleTest executable counts by its own tests, any other test or stage as one. A suite that ran no test is a failure.
"""
import collections
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def gtest_counts(path):
    """(passed, failed, skipped, notes) of one GoogleTest result file; tests skipped for the same reason share a note."""
    passed = failed = 0
    reasons = collections.Counter()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            failed += 1
            print(f"  FAILED {name}")
        elif case.find("skipped") is not None:
            lines = (case.find("skipped").get("message") or "").strip().splitlines()
            reasons[lines[-1] if lines else f"{name} gives no reason"] += 1
        elif case.get("status") == "run":
            passed += 1
    return passed, failed, reasons.total(), [f"{path.stem}: {count} skipped: {reason}" for reason, count in reasons.items()]


def stage_counts(folder):
    totals = [0, 0, 0]
    notes = []
    executables = {path.stem: path for path in folder.glob("test_*.xml")}
    junit = folder / "ctest.xml"
    cases = list(ElementTree.parse(junit).getroot().iter("testcase")) if junit.exists() else []
    for case in cases:
        name, ok = case.get("name"), case.get("status") == "run"
        own = executables.pop(f"test_{name}", None)
        if case.get("status") in ("notrun", "disabled"):
            skipped = case.find("skipped")
            notes.append(f"{name}: {skipped.get('message') if skipped is not None else 'not run'}")
            totals[1] += 1  # ctest could not start it; a test that means to skip says so itself
        elif own is None:
            totals[0 if ok else 1] += 1
        else:
            passed, failed, skipped, reasons = gtest_counts(own)
            if not ok and failed == 0:
                notes.append(f"{name}: ended badly after its tests")
                failed = 1
            if passed + failed + skipped == 0:
                notes.append(f"{name}: ran no test")
                failed = 1
            totals = [total + more for total, more in zip(totals, (passed, failed, skipped))]
            notes += reasons
    for name, path in executables.items():  # run outside ctest
        passed, failed, skipped, reasons = gtest_counts(path)
        if passed + failed + skipped == 0:
            notes.append(f"{name}: ran no test")
            failed = 1
        totals = [total + more for total, more in zip(totals, (passed, failed, skipped))]
        notes += reasons
    return totals, notes


def main():
    sums = [0, 0, 0]
    stages = sorted(path.parent for path in pathlib.Path(sys.argv[1]).glob("*/stage"))
    for folder in stages:
        status, seconds = (int(word) for word in (folder / "stage").read_text().split())
        totals, notes = stage_counts(folder)
        if sum(totals) == 0:  # a stage that is itself one check
            totals[0 if status == 0 else 1] = 1
        elif status != 0 and totals[1] == 0:
            notes.append(f"stage ended with status {status}")
            totals[1] = 1
        print(f"{folder.name}: {totals[0]} passed, {totals[1]} failed, {totals[2]} skipped ({seconds} s)")
        for note in notes:
            print(f"  {note}")
        sums = [total + more for total, more in zip(sums, totals)]
    if not stages:
        sums[1] = 1
        print("no stage ran")
    print(f"{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped")
    return 0 if sums[1] == 0 and sums[0] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
