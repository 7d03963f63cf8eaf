"""Prints which tests failed, and how, from the JUnit file that `swift test --xunit-output` writes."""

import sys
import xml.etree.ElementTree as ElementTree

MOST_FAILURES = 40
MOST_CHARACTERS = 600


def main(path: str) -> None:
    failed = [case for case in ElementTree.parse(path).iter("testcase") if case.find("failure") is not None]
    print(f"==> {len(failed)} failed:")
    for case in failed[:MOST_FAILURES]:
        print(f"  {case.get('classname')}: {case.get('name')}")
        for failure in case.iter("failure"):
            print(f"    {(failure.get('message') or failure.text or '').strip()[:MOST_CHARACTERS]}")
    if len(failed) > MOST_FAILURES:
        print(f"  and {len(failed) - MOST_FAILURES} more: {path}")


if __name__ == "__main__":
    main(sys.argv[1])
