#!/usr/bin/env python3
"""Compiles the CUDA kernels for some architectures and reports what each uses: registers, spills, stack and static shared memory, how many of a multiprocessor's warps that
leaves room for and, with --mix, its instructions by class, whole and within loops: the card's own where there is a cuobjdump (--cuobjdump FILE, $KINGLET_CUOBJDUMP, the path,
nvcc's folder; it comes with the CUDA toolkit, and the PyPI package triton holds a copy), else those of PTX, the compiler's intermediate language, which is then said. --json FILE writes it there too.
Fails on a spill that the kernel's source does not declare with a line "// spills: KERNEL at most N bytes", and with --mix on any other use of local memory."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENTRY = re.compile(r"Compiling entry function 'kl_(\w+)' for 'sm_(\w+)'")
SPILL = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
DECLARED = re.compile(r"//\s*spills:\s*(\w+) at most (\d+) bytes")
OURS = ("75", "80", "86", "89", "90", "100", "120")
# Warps and blocks that a multiprocessor holds at most, and its shared memory in KB (CUDA programming guide, compute capabilities).
HOLDS = {75: (32, 16, 64), 80: (64, 32, 164), 86: (48, 16, 100), 87: (48, 16, 164), 88: (48, 24, 100), 89: (48, 24, 100), 90: (64, 32, 228), 100: (64, 32, 228),
         103: (64, 32, 228), 110: (48, 24, 228), 120: (48, 24, 100), 121: (48, 24, 100)}
REGISTERS = 65536

# The first pattern that an instruction matches names its class.
SASS = [(re.compile(pattern), name) for pattern, name in (
    (r"I(DP|DP4A)\b", "dp4a"),
    (r"(IMMA|HMMA|QMMA|DMMA|BMMA|OMMA)\b", r"\1"),
    (r"U?(FFMA|FMUL|FADD)", r"\1"),
    (r"(LDL|STL)\b", r"\1"),
    (r"(LDG|STG|LDS|STS|LD|ST|LDGSTS)\b", r"\1"),  # and their width
    (r"LDSM\b", "LDSM"),
    (r"SHFL", "shuffle"),
    (r"(BAR|WARPSYNC|DEPBAR|LDGDEPBAR|BARRIER|SYNCS)\b", "barrier"),
    (r"U?(I2F|F2I|F2F|I2I|I2FP|F2FP|I2IP|HADD2\.F32|FRND)", "conversion"),  # HADD2.F32: a half to a float
    (r"MUFU", "MUFU"),
    (r"(U?MOV|IMAD\.MOV|CS2R|S2R|S2UR|R2UR|R2P|P2R|U?LDCU?)\b", "move, constant"),
    (r"U?F(MNMX|SET|SETP|SEL|CHK|SWZADD)", "float other"),
    (r"(H(ADD2|MUL2|FMA2|SET2|SETP2|MNMX2))", "half"),
    (r"(PRMT|LOP3|SHF|SHL|SHR|LOP|BMSK|SGXT|FLO|POPC|BREV|VABSDIFF\w*|U?P?LOP3|UPRMT|USHF|ULOP3)\b", "bits"),
    (r"(ATOM|ATOMG|ATOMS|RED|REDG|MEMBAR|CCTL|ERRBAR|FENCE)\b", "atomic, fence"),
    (r"(BRA|BRX|BSSY|BSYNC|EXIT|RET|CALL|NOP|BREAK|BPT|YIELD|ACQBULK|PREEXIT|BMOV|NANOSLEEP)\b", "control"),
    (r"U?(I|LEA|VIADD|VIMNMX|PLOP3|SEL|VOTE)", "integer"),
)]
WIDE = {"LDG", "STG", "LDS", "STS", "LD", "ST", "LDGSTS"}
CODE = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)([^;]*);")


def compiler_knows(nvcc):
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout
    return [a for a in OURS if f"sm_{a}\n" in listed + "\n"]


def sass_class(instruction):
    for pattern, name in SASS:
        if found := pattern.match(instruction):
            name = found.expand(name)
            if name not in WIDE:
                return name
            words = instruction.split(".")[1:]
            bits = next((w for w in ("128", "64", "BYPASS", "U8", "S8", "U16", "S16") if w in words), "32")
            return f"{name}.{'128' if bits == 'BYPASS' else bits}"  # a copy past L1 is of 16 bytes
    return "other"


def sass(cuobjdump, binary):
    """Per architecture and kernel: threads of a block, and instructions by class, all of them and those within a loop (a branch back and all that it spans)."""
    where = {**os.environ, "PATH": str(pathlib.Path(cuobjdump).resolve().parent) + os.pathsep + os.environ["PATH"]}  # it calls nvdisasm
    text = subprocess.run([cuobjdump, "-sass", "-elf", str(binary)], capture_output=True, text=True, check=True, env=where).stdout
    listed, threads, architecture, kernel, section = {}, {}, None, None, None
    for line in text.splitlines():
        if found := re.match(r"arch = sm_(\d+)", line):
            architecture, kernel = found.group(1), None
        elif found := re.search(r"\.nv\.info\.kl_(\w+)", line):
            section = found.group(1)
        elif "EIATTR_MAX_THREADS" in line:
            section = (section, "threads")
        elif isinstance(section, tuple) and (found := re.search(r"Value:\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+)", line)):
            threads[architecture, section[0]] = int(found.group(1), 16) * int(found.group(2), 16) * int(found.group(3), 16)
            section = section[0]
        elif found := re.search(r"Function : kl_(\w+)", line):
            kernel = found.group(1)
            listed[architecture, kernel] = []
        elif kernel and (found := CODE.search(line)):
            listed[architecture, kernel].append((int(found.group(1), 16), found.group(2), found.group(3)))
    result = collections.defaultdict(dict)
    for (architecture, kernel), code in listed.items():
        loops = [(int(to.group(1), 16), at) for at, name, rest in code if name.startswith("BRA") and (to := re.search(r"0x([0-9a-f]+)", rest)) and int(to.group(1), 16) < at]
        counts = {"instructions": collections.Counter(), "in_loops": collections.Counter()}
        for at, name, _ in code:
            if name == "NOP":
                continue
            counts["instructions"][sass_class(name)] += 1
            if any(first <= at <= last for first, last in loops):
                counts["in_loops"][sass_class(name)] += 1
        result[architecture][kernel] = {"threads": threads.get((architecture, kernel), 0), **counts}
    return result


def ptx(folder):
    """The same of PTX, one file per virtual architecture: mma, dp4a, and loads and stores with their width and space. No loops."""
    result = collections.defaultdict(dict)
    for file in folder.glob("*.ptx"):
        counts, kernel = None, None
        text = file.read_text()
        virtual = re.search(r"\.target sm_(\d+)", text).group(1)
        for line in text.splitlines():
            if found := re.search(r"\.entry kl_(\w+)", line):
                kernel, counts = found.group(1), collections.Counter()
                result[virtual][kernel] = {"threads": 0, "instructions": counts, "in_loops": {}}
            elif found := re.match(r"\s*\.maxntid (\d+)", line):
                result[virtual][kernel]["threads"] = int(found.group(1))
            elif (found := re.match(r"\s+(?:@!?%p\d+\s+)?([a-z][a-z0-9_.]+)\s", line)) and kernel:
                words = found.group(1).split(".")
                if words[0] in ("ld", "st"):
                    kind = ".".join([words[0], *[w for w in words[1:] if w in ("global", "shared", "param", "local", "v2", "v4")]])
                elif words[0] in ("mma", "cp"):
                    kind = ".".join([words[0], *[w for w in words[1:] if w in ("async", "wait_group", "commit_group", "s8", "f16") or w.startswith("m16")][:3]])
                else:
                    kind = words[0]
                counts[kind] += 1
    return result


def virtual_of(architecture):
    """The virtual architecture whose PTX a real one's code is made from, as in backends/cuda/CMakeLists.txt."""
    return "80" if 80 <= int(architecture) < 90 else architecture


def occupancy(architecture, used):
    """Of the warps that a multiprocessor holds, the share that registers and static shared memory leave room for, in percent. Dynamic shared memory is the launch's and not counted."""
    if int(architecture) not in HOLDS or not used["threads"]:
        return None
    warps, blocks, kilobytes = HOLDS[int(architecture)]
    each = -(-used["threads"] // 32)
    by_registers = REGISTERS // (-(-used["registers"] * 32 // 256) * 256) // each if used["registers"] else blocks
    reserved = 0 if int(architecture) < 80 else 1024  # bytes of every block that are the system's
    by_shared = kilobytes * 1024 // (used["shared"] + reserved) if used["shared"] else blocks
    return round(100 * min(blocks, by_registers, by_shared, warps // each) * each / warps)


def compile_one(nvcc, source, architectures, folder, cuobjdump, mix):
    """Per architecture the kernels of a source, or the compiler's words."""
    binary = pathlib.Path(folder) / f"{source.stem}.fatbin"
    command = [nvcc, "-fatbin", "-std=c++20", "-O3", "-fmad=false", "-Xptxas", "-v", f"-I{ROOT / 'backends'}", f"-I{ROOT / 'sdk' / 'src'}", "-Werror", "all-warnings", "-o", str(binary), str(source)]
    for virtual in sorted({virtual_of(a) for a in architectures}, key=int):
        command += ["-gencode", f"arch=compute_{virtual},code=[{','.join(f'sm_{a}' for a in architectures if virtual_of(a) == virtual)}]"]
    kept = pathlib.Path(folder) / source.stem
    if mix and not cuobjdump:
        kept.mkdir()
        command += ["--keep", "--keep-dir", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return source, None, done.stderr
    kernels, at = {a: {} for a in architectures}, None
    for line in done.stderr.splitlines():
        if found := ENTRY.search(line):
            at = kernels[found.group(2)][found.group(1)] = {"registers": 0, "spills": 0, "stack": 0, "shared": 0, "threads": 0}
        elif at is not None and (found := SPILL.search(line)):
            at["stack"], at["spills"] = int(found.group(1)), max(int(found.group(2)), int(found.group(3)))
        if at is not None and (found := USED.search(line)):
            at["registers"] = int(found.group(1))
            if found := SHARED.search(line):
                at["shared"] = int(found.group(1))
    if mix:
        counted = sass(cuobjdump, binary) if cuobjdump else ptx(kept)
        for architecture, of in kernels.items():
            for kernel, used in of.items():
                used.update(counted[architecture if cuobjdump else virtual_of(architecture)][kernel])
    return source, kernels, ""


def tool(asked, nvcc):
    beside = shutil.which(nvcc)
    for each in (asked, os.environ.get("KINGLET_CUOBJDUMP"), "cuobjdump", beside and str(pathlib.Path(beside).resolve().parent / "cuobjdump")):
        if each and (found := shutil.which(each)):
            return found
        if each and each == asked:
            sys.exit(f"kinglet: error: expected a program: {each}")
    return None


def written(counts):
    total, loads = sum(counts.values()), {k: v for k, v in counts.items() if k.startswith("LDG.") or k.startswith("LDGSTS.")}
    width = {"128": 16, "64": 8, "32": 4, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
    moved = {k: v * width[k.split(".")[1]] for k, v in loads.items()}
    share = f"; {100 * sum(v for k, v in moved.items() if k.endswith('128')) // sum(moved.values())} % of loaded bytes by 16" if moved else ""
    return f"{total}: " + ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items(), key=lambda c: -c[1])) + share


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", default="", help="75,80,...; default: all of ours that this compiler knows")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--cuobjdump", default="", help="the program that lists a card's instructions")
    parser.add_argument("--mix", action="store_true", help="count instructions too")
    parser.add_argument("--json", default="", help="write the report to this file too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at once")
    parser.add_argument("names", nargs="*", help="only files whose name contains one of these")
    options = parser.parse_args()
    cuobjdump = tool(options.cuobjdump, options.nvcc) if options.mix else None
    if options.mix and not cuobjdump:
        print("kinglet: no cuobjdump here: instructions are those of PTX, not the card's own", file=sys.stderr)
    architectures = options.architectures.split(",") if options.architectures else compiler_knows(options.nvcc)
    sources = [s for s in (ROOT / "backends" / "cuda" / "kernels").glob("*.cu") if not options.names or any(n in s.name for n in options.names)]
    sources.sort(key=lambda s: (not s.name.startswith(("linear", "qkv", "attention")), s.name))  # what takes longest first
    failed, report = False, []
    print(f"{'kernel':36} {'sm':>4} {'threads':>7} {'registers':>9} {'spills':>7} {'stack':>6} {'shared':>7} {'warps':>6}")
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for job in concurrent.futures.as_completed([pool.submit(compile_one, options.nvcc, s, architectures, folder, cuobjdump, options.mix) for s in sources]):
            source, kernels, errors = job.result()
            if kernels is None or not all(kernels.values()):
                failed = True
                print(f"{source.name} for sm_{', sm_'.join(architectures)}: expected it to compile to kernels\n{errors}")
                continue
            allowed = {name: int(most) for name, most in DECLARED.findall(source.read_text())}
            for architecture, name, used in [(a, n, kernels[a][n]) for a in architectures for n in sorted(kernels[a])]:
                verdict, counts = "", used.get("instructions", {})
                if used["spills"] > allowed.get(name, 0):
                    failed, verdict = True, f"  spills, {allowed.get(name, 0)} bytes declared"
                elif name not in allowed and (local := sum(counts.get(k, 0) for k in ("LDL", "STL", "ld.local", "st.local"))):
                    failed, verdict = True, f"  {local} instructions on local memory"
                share = occupancy(architecture, used)
                print(f"{name:36} {architecture:>4} {used['threads'] or '':>7} {used['registers']:>9} {used['spills']:>7} {used['stack']:>6} {used['shared']:>7} "
                      f"{'' if share is None else f'{share} %':>6}{verdict}")
                if counts:
                    print(f"    {written(counts)}")
                    if used["in_loops"]:
                        print(f"    in loops {written(used['in_loops'])}")
                report.append({"kernel": name, "architecture": int(architecture), **{k: used[k] for k in ("threads", "registers", "spills", "stack", "shared")},
                               "warps_percent": share, "instructions_of": ("sass" if cuobjdump else "ptx") if counts else None, "instructions": dict(counts),
                               "in_loops": dict(used.get("in_loops", {}))})
            sys.stdout.flush()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(sorted(report, key=lambda r: (r["kernel"], r["architecture"])), indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
