#!/usr/bin/env python3
"""exports.py PROGRAM GOLDEN: compares what PROGRAM exports to modules with the list GOLDEN.

Not counted, because the linker adds them whatever the list says: symbols with a version (copies of
variables of shared libraries) and C++ symbols that are not ours (inline functions that the program
shares with a library). A C++ symbol of ours in the table is a leak.
"""
import subprocess
import sys


def exported(program):
    table = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", program],
                           check=True, capture_output=True, text=True).stdout
    names = {line.split()[0] for line in table.splitlines()}
    return {name for name in names
            if "@" not in name and (not name.startswith("_Z") or "7postern" in name)}


def main():
    program, golden = sys.argv[1:]
    with open(golden, encoding="ascii") as lines:
        expected = {line.strip() for line in lines if line.strip()}
    found = exported(program)
    for name in sorted(expected - found):
        print(f"missing: {name}")
    for name in sorted(found - expected):
        print(f"not in {golden}: {name}")
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main())
