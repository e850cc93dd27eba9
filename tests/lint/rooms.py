#!/usr/bin/env python3
"""Checks the includes of every room against the table of rooms in ARCHITECTURE.md.

A row of the table is `| room | what | -> rooms that it may include | third parties |`. What the
table does not allow is a finding; so is a room that the table does not name.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Headers of third parties that stay behind walls: pattern of the include -> name in the table.
THIRD_PARTIES = [
    (r"asio[/.]", "Asio"), (r"openssl/", "OpenSSL"), (r"rocksdb/", "RocksDB"),
    (r"ares", "c-ares"), (r"(grpc|grpcpp|grpc\+\+)/", "gRPC"), (r"google/protobuf/", "protobuf"),
    (r"yaml-cpp/", "yaml-cpp"), (r"httplib\.h", "cpp-httplib"), (r"CLI/", "CLI11"),
    (r"postern/v1/.*\.pb\.h", "proto"), (r"grpc/health/.*\.pb\.h", "proto"),
]


def table():
    """room -> (rooms it may include, third parties it may include)."""
    rooms = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"`[\w/.]+`", cells[0]):
            name = cells[0].strip("`").rstrip("/")
            words = lambda cell: set(re.findall(r"[\w/+.-]+", cell)) - {"-"}
            rooms[name] = (words(cells[2].replace("->", "")), words(cells[3]))
    return rooms


def room_of(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "server":
        return "server/" + parts[1] if len(parts) > 2 else "server/main.cc"
    return parts[0]


def main():
    rooms, findings = table(), []
    if "server/base" not in rooms:
        sys.exit("lint: ARCHITECTURE.md has no table of rooms")
    sources = [p for top in ("server", "client", "hooks")
               for p in sorted((ROOT / top).rglob("*")) if p.suffix in (".cc", ".h", ".c")]
    for path in sources:
        room = room_of(path)
        where = path.relative_to(ROOT)
        if room not in rooms:
            findings.append(f"{where}: room {room} is not in ARCHITECTURE.md")
            continue
        may, third = rooms[room]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            include = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
            if not include:
                continue
            target = include.group(1)
            if target.startswith(("server/", "hooks/", "client/")):
                other = room_of(ROOT / target)
                if other != room and other not in may and other.split("/")[-1] not in may:
                    findings.append(f"{where}:{number}: {room} may not include {other} ({target})")
                continue
            for pattern, name in THIRD_PARTIES:
                if re.match(pattern, target):
                    wall = name in third or (name == "Asio" and path.stem in third)
                    if not wall:
                        findings.append(f"{where}:{number}: {name} may not be used in {room}")
                    break
    for finding in findings:
        print("lint:", finding)
    sys.exit(1 if findings else 0)


main()
