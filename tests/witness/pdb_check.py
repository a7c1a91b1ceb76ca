#!/usr/bin/env python3
"""Compares what llvm-pdbutil dump prints of a PDB with what tests/bench/symbols.c prints: all of it, both ways.

usage: pdb_check.py NAME LLVM-OUTPUT OUR-OUTPUT
"""
import re
import sys
from collections import Counter


def read_llvm(path):
    """{ id, symbols: Counter of lines, types: { number: (kind, size, name, [member lines]) } }"""
    lines = open(path, encoding="utf-8", errors="surrogateescape").read().split("\n")
    sections, guid, age = [], None, None
    for line in lines:
        if match := re.match(r"\s+([0-9A-F]+) virtual address$", line):
            sections.append(int(match[1], 16))
        elif match := re.match(r"\s+GUID: \{(.*)\}$", line):
            guid = match[1].replace("-", "")
        elif match := re.match(r"\s+Age: (\d+)$", line):
            age = int(match[1])

    def rva(text):
        section, offset = text.split(":")
        return sections[int(section) - 1] + int(offset)

    symbols, lists, records, bit_fields, enum_sizes = Counter(), {}, {}, {}, {}
    heading = ""
    for i, line in enumerate(lines):
        if line.startswith("====="):
            heading = lines[i - 1].strip()
        match = re.match(r"\s+(?:0x)?([0-9A-F]+) \| (\w+) \[size = \d+\](?: `(.*)`)?$", line)
        if not match:
            continue
        number, leaf, name = match.groups()
        body = "\n".join(lines[i + 1:i + 6])
        if leaf in ("S_PUB32", "S_GDATA32", "S_LDATA32"):
            address = re.search(r"addr = (\d+:\d+)", body)[1]
            # Of data those of the globals: statics inside functions have no name in any of our lists.
            if heading != "Symbols" and int(address.split(":")[0]) - 1 in range(len(sections)):
                symbols[f"{'public' if leaf == 'S_PUB32' else 'data'} {rva(address):08x} 0 {name}"] += 1
        elif leaf in ("S_GPROC32", "S_LPROC32", "S_GPROC32_ID", "S_LPROC32_ID"):
            address = re.search(r"addr = (\d+:\d+), code size = (\d+)", body)
            symbols[f"function {rva(address[1]):08x} {address[2]} {name}"] += 1
        elif leaf == "S_THUNK32":
            found = re.search(r"size = (\d+), addr = (\d+:\d+)", body)
            symbols[f"function {rva(found[2]):08x} {found[1]} {name}"] += 1
        elif leaf in ("LF_STRUCTURE", "LF_CLASS", "LF_INTERFACE", "LF_UNION", "LF_ENUM"):
            record = "\n".join(record_of(lines, i))
            if re.search(r"^\s+options: .*forward ref", record, re.M):
                continue
            fields = re.search(r"field list: (?:0x)?([0-9A-F]+|<no type>)", record)[1]
            size = re.search(r"sizeof (\d+)", record)
            kind = {"LF_UNION": "union", "LF_ENUM": "enum"}.get(leaf, "struct")
            records[int(number, 16)] = (kind, int(size[1]) if size else 0, name,
                                        None if fields == "<no type>" else int(fields, 16))
        elif leaf == "LF_FIELDLIST":
            lists[int(number, 16)] = members_of(record_of(lines, i))
        elif leaf == "LF_BITFIELD":
            found = re.search(r"type = 0x([0-9A-F]+).*, bit offset = (\d+), # bits = (\d+)", body)
            bit_fields[int(number, 16)] = (int(found[1], 16), int(found[2]), int(found[3]))

    types = {}
    for number, (kind, size, name, fields) in records.items():
        rows, seen = [], 0
        while fields is not None and seen < 100:
            following, seen = None, seen + 1
            for member in lists[fields]:
                if member[0] == "continued":
                    following = member[1]
                    continue
                kind_, type_, offset, value, member_name = member
                position = width = 0
                if kind_ == "field" and type_ in bit_fields:
                    type_, position, width = bit_fields[type_]
                rows.append(f"  {kind_} {type_:x} {offset} {position} {width} {value} {member_name}")
            fields = following
        types[number] = (f"{number:x} {kind} {size} {name}", rows)
    return guid, age, symbols, types


def record_of(lines, i):
    """The lines that belong to the record that begins at line i."""
    end = i + 1
    while end < len(lines) and not re.match(r"\s+0x[0-9A-F]+ \| ", lines[end]) and lines[end].strip():
        end += 1
    return lines[i + 1:end]


def signed(value):
    value = int(value)
    return value - (1 << 64) if value >= 1 << 63 else value


def members_of(lines):
    """(kind, type, offset, value, name) of each member of a field list."""
    members, starts = [], [i for i, line in enumerate(lines) if line.lstrip().startswith("- LF_")]
    for i, start in enumerate(starts):
        text = "\n".join(lines[start:starts[i + 1] if i + 1 < len(starts) else len(lines)])
        leaf = re.match(r"\s*- (\w+)", text)[1]
        name = re.search(r"name = `(.*?)`", text)
        name = name[1] if name else ""
        type_ = re.search(r"[Tt]ype = (?:0x)?([0-9A-F]+|<no type>)", text)
        type_ = int(type_[1], 16) if type_ and type_[1] != "<no type>" else 0
        offset = re.search(r"(?<!vftable )offset = (-?\d+)", text)
        offset = int(offset[1]) if offset else 0
        if leaf == "LF_MEMBER":
            members.append(("field", type_, offset, 0, name))
        elif leaf == "LF_STMEMBER":
            members.append(("static", type_, 0, 0, name))
        elif leaf == "LF_BCLASS":
            members.append(("base", type_, offset, 0, ""))
        elif leaf in ("LF_VBCLASS", "LF_IVBCLASS"):
            base = re.search(r"base = 0x([0-9A-F]+), vbptr = 0x[0-9A-F]+, vbptr offset = (\d+)", text)
            members.append(("virtual_base", int(base[1], 16), int(base[2]), 0, ""))
        elif leaf == "LF_VFUNCTAB":
            members.append(("vtable", type_, 0, 0, ""))
        elif leaf == "LF_ENUMERATE":
            found = re.search(r"\[(.*) = (-?\d+)\]", text)
            members.append(("enumerator", 0, 0, signed(found[2]), found[1]))
        elif leaf == "LF_NESTTYPE":
            members.append(("type", int(re.search(r"parent = 0x([0-9A-F]+)", text)[1], 16), 0, 0, name))
        elif leaf == "LF_METHOD":
            found = re.search(r"overload list = 0x([0-9A-F]+)", text)
            members.append(("method", int(found[1], 16), 0, 0, name))
        elif leaf == "LF_ONEMETHOD":
            members.append(("method", type_, 0, 0, name))
        elif leaf == "LF_INDEX":
            members.append(("continued", int(re.search(r"0x([0-9A-F]+)", text)[1], 16)))
        else:
            sys.exit(f"a member that this check does not know: {text}")
    return members


def read_ours(path):
    identity, symbols, types, current = None, Counter(), {}, None
    for line in open(path, encoding="utf-8", errors="surrogateescape").read().split("\n"):
        if line.startswith("id "):
            identity = line[3:]
        elif re.match(r"(public|data|function) ", line):
            symbols[line] += 1
        elif line.startswith("  "):
            types[current][1].append(line)
        elif line:
            current = int(line.split(" ")[0], 16)
            types[current] = (line, [])
    return identity, symbols, types


def main():
    name, llvm_path, our_path = sys.argv[1:]
    guid, age, symbols, types = read_llvm(llvm_path)
    identity, our_symbols, our_types = read_ours(our_path)
    faults = []
    if identity != f"{guid}{age:X}":
        faults.append(f"id {identity}, llvm-pdbutil says {guid}{age:X}")
    faults += [f"only llvm-pdbutil: {line}" for line in symbols - our_symbols]
    faults += [f"only ours: {line}" for line in our_symbols - symbols]
    for number in sorted(types.keys() | our_types.keys()):
        theirs, ours = types.get(number), our_types.get(number)
        if theirs != ours:
            faults.append(f"type {number:x}:\n  llvm-pdbutil {theirs}\n  ours         {ours}")
    if not symbols:
        faults.append("llvm-pdbutil tells no symbol: nothing was compared")
    members = sum(len(rows) for _, rows in types.values())
    print(f"{name}: {sum(symbols.values())} symbols, {len(types)} types, {members} members, {len(faults)} differences")
    if faults:
        sys.exit("\n".join(faults[:20]))


main()
