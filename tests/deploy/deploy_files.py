"""Where the files of deploy/ are, and programs to judge them with."""
import os
import pathlib
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def environment(name):
    """The value of a variable that ctest sets."""
    return os.environ[name]


def tool(name):
    """The path of a program that deploy/packages test installs; without it the test is skipped."""
    path = shutil.which(name)
    if path is None:
        raise unittest.SkipTest(f"{name} is not installed: deploy/packages test")
    return path


def run(*command, **options):
    """Runs it; (exit code, standard output and error together)."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, **options)
    return done.returncode, done.stdout
