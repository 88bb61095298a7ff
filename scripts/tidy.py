#!/usr/bin/env python3
"""Runs clang-tidy over the project's sources, in parallel. A file whose preprocessed text was clean before is not checked again."""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

TIDY = "clang-tidy-14"
CLANG = "clang++-14"
# For --quick: what finds mistakes that neither compilers nor sanitizers see. Every check walks the standard library's headers too: all of .clang-tidy's without
# the analyzer take twice as long as these, and the analyzer twice that again.
QUICK = (
    "-*,bugprone-use-after-move,bugprone-dangling-handle,bugprone-unused-raii,bugprone-infinite-loop,bugprone-sizeof-expression,misc-unused-using-decls,"
    "misc-redundant-expression,performance-move-const-arg,performance-for-range-copy,performance-unnecessary-*,modernize-use-override"
)
FOLDERS = ("sdk", "backends", "samples", "tools")  # tests are held to the compilers' warnings and the sanitizers


def preprocessed(entry):
    """The text clang-tidy would see, comments (NOLINT) and macros included, without paths: equal in every checkout."""
    words, kept, skip = shlex.split(entry["command"]), [], False
    for word in words[1:]:
        if skip or word == "-c":
            skip = False
        elif word == "-o":
            skip = True
        elif "ccache" not in word and not word.endswith(("g++", "c++", "gcc", "cc", "clang", "clang++")):
            kept.append(word)
    command = [CLANG, *kept, "-E", "-P", "-CC", "-dD", "-w"]
    done = subprocess.run(command, cwd=entry["directory"], capture_output=True)
    return done.stdout if done.returncode == 0 else None


def check(entry, build, stamp, cache, extra):
    text = preprocessed(entry)
    mark = cache / hashlib.sha256(stamp + text).hexdigest() if text is not None else None
    if mark is not None and mark.exists():
        return True, "", True
    done = subprocess.run([TIDY, "-p", build, "--quiet", *extra, entry["file"]], capture_output=True, text=True)
    if done.returncode == 0 and mark is not None:
        mark.touch()
    return done.returncode == 0, done.stdout + (done.stderr if done.returncode else ""), False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="a build folder with compile_commands.json")
    parser.add_argument("--quick", action="store_true", help="a few checks only, in a quarter of the time or less")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th file only")
    parser.add_argument("names", nargs="*", help="only files whose path contains one of these")
    options = parser.parse_args()

    root = pathlib.Path(__file__).resolve().parent.parent
    folders = tuple(f"{root / folder}{os.sep}" for folder in FOLDERS)
    entries = {}
    for entry in json.loads((pathlib.Path(options.build) / "compile_commands.json").read_text()):
        if entry["file"].endswith(".cu"):
            continue  # against the emulation's header, which clang 14 cannot read (std::source_location); nvcc's and gcc's warnings hold for them
        if entry["file"].startswith(folders) and (not options.names or any(name in entry["file"] for name in options.names)):
            entries.setdefault(entry["file"], entry)
    chosen = list(entries.values())[:: options.every]
    if not chosen:
        print("kinglet: error: expected sources to check in the build's compile_commands.json, found none")
        return 1

    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "kinglet" / "tidy"
    cache.mkdir(parents=True, exist_ok=True)
    stamp = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout + (root / ".clang-tidy").read_bytes()
    extra = [f"--checks={QUICK}"] if options.quick else []
    stamp += " ".join(extra).encode()

    began, failed, known = time.monotonic(), [], 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for entry, (ok, output, cached) in zip(
            chosen, pool.map(lambda entry: check(entry, options.build, stamp, cache, extra), chosen)
        ):
            known += cached
            if not ok:
                failed.append(entry["file"])
                print(output.strip())
    print(f"clang-tidy: {len(chosen)} of {len(entries)} files, {known} known clean, {len(failed)} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
