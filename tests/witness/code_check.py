"""What `u`, `ub` and `uf` print of compiled code, beside llvm-objdump's listing of the same files."""
import re
import subprocess
import sys

program, folders = sys.argv[1], sys.argv[2:]
failed = False

def fail(text):
    global failed
    failed = True
    print(text)


def listing(folder):
    """[(address, bytes as hex, mnemonic)] of objdump, and {name: address} of its symbols."""
    code, names = [], {}
    for line in open(f"{folder}/objdump.txt"):
        found = re.match(r"\s*([0-9a-f]+): ((?:[0-9a-f]{2} ?)+)\s*\t(.*)", line)
        if found:
            words = found[3].split()
            code.append((int(found[1], 16), found[2].replace(" ", ""), mnemonic(words)))
        found = re.match(r"([0-9a-f]+) <(\w+)>:", line)
        if found:
            names[found[2]] = int(found[1], 16)
    # Behind the last function may lie its table of jumps, whose address is taken before; then what fills up the section.
    last = max(names.values())
    tables = [int(at, 16) for at in re.findall(r"\blea\b.*# 0x([0-9a-f]+) <table", open(f"{folder}/objdump.txt").read())]
    end = min([at for at in tables if at > last], default=1 << 64)
    code = [one for one in code if one[0] < end]
    while code[-1][2] == "int3":
        code.pop()
    return code, names


def mnemonic(words):
    word = words[0]
    if word in ("rep", "repne", "lock", "repe") and len(words) > 1:
        word = words[1]
    return word


def shell(folder, lines, *options):
    run = subprocess.run([program, "shell", f"{folder}/code.dmp", "-f", "-", *options], input="\n".join(lines),
                         text=True, capture_output=True)
    if run.returncode != 0:
        fail(f"{folder} {lines[:3]}: exit code {run.returncode}: {run.stderr}")
    return run.stdout


def instructions(text):
    found = re.findall(r"^([0-9a-f]{8,16}) ([0-9a-f]+)\s+(\S.*)$", text, re.M)
    return [(int(at, 16), code, mnemonic(rest.split())) for at, code, rest in found]


def differences(what, wanted, got):
    if wanted == got:
        return
    for a, b in zip(wanted, got):
        if a != b:
            fail(f"{what}: objdump has {a[0]:x} {a[1]} {a[2]}, heapsift {b[0]:x} {b[1]} {b[2]}")
            return
    fail(f"{what}: objdump has {len(wanted)} instructions, heapsift {len(got)}")


PADDING = ("int3", "nop")

for folder in folders:
    code, names = listing(folder)
    name = folder.rsplit("/", 1)[-1]
    if len(code) < 150 or len(names) < 9:
        fail(f"{name}: objdump lists {len(code)} instructions of {len(names)} functions")
    first, last = code[0][0], code[-1][0]

    # All of the code, and by counts.
    differences(f"{name} u", code, instructions(shell(folder, [f"u {first:x} {last:x}"])))
    pieces = [f"u {code[i][0]:x} L20" for i in range(0, len(code), 32)]
    differences(f"{name} u L", code, instructions(shell(folder, pieces))[:len(code)])

    starts = sorted(names.values()) + [last + 100]
    for pdb in (True, False):
        options = ["--symbols", f"{folder}/pdb"] if pdb else []
        for function, start in names.items():
            end = next(each for each in starts if each > start)
            own = [each for each in code if start <= each[0] < end]
            while own[-1][2] in PADDING:
                own.pop()
            what = f"{name} {'pdb' if pdb else 'exports'}"
            got = instructions(shell(folder, [f"uf oleaut32!{function}"], *options))
            differences(f"{what} uf {function}", own, got)
            middle = own[len(own) // 2][0]
            differences(f"{what} uf inside {function}", own, instructions(shell(folder, [f"uf {middle:x}"], *options)))
        # Before each address: the eight that objdump lists there.
        lines = [f"ub {code[i][0]:x}" for i in range(1, len(code))]
        parts = shell(folder, [f".echo == {line}\n{line}" for line in lines], *options).split("== ")[1:]
        for i, part in enumerate(parts, 1):
            differences(f"{what} {lines[i - 1]}", code[max(0, i - 8):i], instructions(part))
    print(f"{name}: {len(code)} instructions, {len(names)} functions")

sys.exit(1 if failed else 0)
