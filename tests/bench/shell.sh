#!/usr/bin/env bash
# The prompt at full scale: `!heap -flt s f8`, its first line after the first walk, and all of it to a file, beside the
# floor: the same bytes written by cat.
set -euo pipefail
. "$SRC/tests/bench/parts/shared.sh"
sample 1 --scale 1
dump=$sample
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "$HEAPSIFT" "$dump" "$work" << 'PYTHON' | section shell
import os, subprocess, sys, time, statistics
program, dump, work = sys.argv[1:]
walk = "local _ = dump:block(0x372e598)"

def processor(line):
    before = os.times()
    subprocess.run([program, "shell", dump, "-c", line], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system

def first_line():
    child = subprocess.Popen([program, "shell", dump, "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    child.stdin.write((walk + "\n.echo " + "x" * 70000 + "\n").encode())  # more than stdout keeps back
    child.stdin.flush()
    seen = 0
    while seen < 65536:
        seen += len(child.stdout.read(65536 - seen))
    time.sleep(0.05)
    begin = time.monotonic()
    child.stdin.write(b"!heap -flt s f8\n")
    child.stdin.close()
    while True:
        data = child.stdout.read(65536)
        if not data or b"busy" in data:
            break

    end = time.monotonic()
    child.kill()
    child.wait()
    return end - begin

target = os.path.join(work, "flt.txt")
alone = statistics.median(processor(walk) for _ in range(5))
whole = statistics.median(processor(walk + "\n!heap -flt s f8 > " + target) for _ in range(5))
lines = sum(1 for _ in open(target, "rb"))
begin = time.monotonic()
subprocess.run(["cp", target, target + ".copy"], check=True)
floor = time.monotonic() - begin
firsts = statistics.median(first_line() for _ in range(5))
print("## The prompt\n")
print(f"`!heap -flt s f8` on the full-scale sample: {lines:,} lines, {os.path.getsize(target):,} bytes. Medians of 5.\n")
print("| what | figure | limit |\n| --- | ---: | ---: |")
print(f"| first line after the first walk | {firsts * 1000:.0f} ms | 50 ms |")
print(f"| all of it to a file, processor | {whole - alone:.2f} s | 1.0 s |")
print(f"| the same file copied | {floor:.2f} s | |")
print(f"| opening and walking before that, processor | {alone:.2f} s | |")
PYTHON
