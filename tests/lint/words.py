#!/usr/bin/env python3
"""Checks sizes and house rules that a compiler does not know."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_LINES = 500

# (files, pattern, what is wrong with it)
RULES = [
    (r"^server/.*\.(cc|h)$", r"std::string_view", "absl::string_view is the house's (Debian's is a type of its own)"),
    (r"^server/(?!base/).*\.(cc|h)$", r"absl::(Mutex|Notification|CondVar)\b", "use server/base/mutex.h: ThreadSanitizer cannot see into absl's"),
    (r"^tests/(?!bench/).*\.(cc|py)$", r"sleep_for|SleepFor|\busleep\(", "tests wait for events, not for time"),
    (r"^tests/integration/.*\.py$", r"time\.sleep", "tests wait for events, not for time"),
    # gcc 12 may free these too early or not compile them: a named local, then std::move.
    (r"^server/.*\.(cc|h)$", r"co_await [\w.:>-]+\([^;{]*(\[[&=\w, ]*\]\s*(\(|\{)|\{[^}]*\})", "no lambda or braced value inside co_await f(...): a named local, then std::move"),
    (r"^(server|client|hooks|proto|tests|deploy)/.*\.(cc|h|c|py|proto)$", r"\b(TODO|FIXME|XXX)\b", "finish it, or say it in CHANGELOG.md"),
]


def main():
    findings = []
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split("\n")
    for name in filter(None, files):
        path = ROOT / name
        if name == "tests/lint/words.py" or not path.exists():
            continue
        if path.suffix not in (".cc", ".h", ".c", ".py", ".proto"):
            continue
        lines = path.read_text(errors="replace").split("\n")
        if len(lines) > MAX_LINES + 1 and path.suffix != ".proto":
            findings.append(f"{name}: {len(lines)} lines; more than {MAX_LINES} is two files")
        for files_pattern, pattern, why in RULES:
            if re.match(files_pattern, name):
                for number, line in enumerate(lines, 1):
                    if re.search(pattern, line) and not line.lstrip().startswith(("//", "#", "*")):
                        findings.append(f"{name}:{number}: {why}")
    for finding in findings:
        print("lint:", finding)
    sys.exit(1 if findings else 0)


main()
