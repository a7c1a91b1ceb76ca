#!/usr/bin/env bash
# linked_images.sh FOLDER: makes the DLLs of the case with clang and lld-link, each function at the address that the case
# prints for it, for `heapsift run sample --images FOLDER`. Of the system's modules (ntdll, rpcrt4, kernel32, mapi32) the PDBs
# stay, with public names as Microsoft's symbol servers have them; of the others only exports tell names, as in the case.
# Exit code 77 where clang or lld-link is missing.
set -euo pipefail
folder=$1
for program in clang lld-link; do
    command -v "$program" > /dev/null || { echo "$program is missing (Debian: clang lld)"; exit 77; }
done
mkdir -p "$folder/pdb"
folder=$(realpath "$folder")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" # only plain names get into the PDBs

# module NAME BASE TEXT_SIZE DATA [lld-link options] < lines: "rva decorated-name [export]"
#   rva: hex; export: the name under which it is exported, or @N for ordinal N without a name
#   DATA: directives of the data section
module() {
    local name=$1 base=$2 text_size=$3 data=$4 rva symbol export
    shift 4
    {
        printf '.text\nstart:\n'
        while read -r rva rest; do printf '%08x %s\n' "0x$rva" "$rest"; done | sort | while read -r rva symbol export; do
            printf '.org 0x%x - 0x1000, 0xcc\n.globl "%s"\n"%s": ret\n' "0x$rva" "$symbol" "$symbol"
            [[ $symbol == *@* ]] || symbol=${symbol#_} # the linker puts it before names of a .def that have no @
            case $export in
                '') ;;
                @*) printf '  "%s" %s NONAME\n' "$symbol" "$export" >> "$name.def" ;;
                *) printf '  "%s"="%s"\n' "$export" "$symbol" >> "$name.def" ;;
            esac
        done
        printf '.org 0x%x, 0xcc\n%s\n' "$text_size" "$data"
    } > "$name.s"
    sed -i '1i LIBRARY\nEXPORTS' "$name.def"
    clang --target=i686-pc-windows-msvc -c "$name.s" -o "$name.obj"
    lld-link /dll /noentry /debug /nodefaultlib /machine:x86 /safeseh:no "/base:$base" "/def:$work/$name.def" \
        "/out:$name" "/pdb:${name%.*}.pdb" /pdbaltpath:%_PDB% "/implib:$name.lib" "$@" "$name.obj"
    mv "$name" "$folder"
    mv "${name%.*}.pdb" "$folder/pdb"
}

# ntdll's data must begin at 7b000, right behind code and exports.
module ntdll.dll 0x7c900000 0x79000 '.data
.org 0x170
.globl "_RtlpStackTraceDataBase"
"_RtlpStackTraceDataBase": .long 0
.org 0x4f00' /merge:.rdata=.text << 'END'
1000 _RtlEnterCriticalSection@4 RtlEnterCriticalSection
10e0 _RtlLeaveCriticalSection@4 RtlLeaveCriticalSection
1809d _RtlAllocateHeap@12 RtlAllocateHeap
1005d _RtlFreeHeap@12 RtlFreeHeap
49520 _RtlAllocateHeapSlowly@12
518ea _NtdllOkayToLockRoutine@4
6ceb9 _RtlDebugAllocateHeap@12
6d100 _RtlDebugSizeHeap@12
END

module rpcrt4.dll 0x77e70000 0x86000 '.data
.long 0' << 'END'
81c3 ??2@YAPAXI@Z
81db ?AllocWrapper@@YGPAXI@Z
89a6 _I_RpcGetBufferWithObject@8 I_RpcGetBufferWithObject
8a29 _I_RpcGetBuffer@4 I_RpcGetBuffer
9045 _NdrGetBuffer@12 NdrGetBuffer
e671 ?DuplicateString@@YGPAGPAG@Z
e6b0 ??0DCE_BINDING@@QAE@PAG00000PAJ@Z
ed20 _RpcStringBindingComposeW@24 RpcStringBindingComposeW
fd94 ?NegotiateTransferSyntax@OSF_BINDING_HANDLE@@UAEJPAU_RPC_MESSAGE@@@Z
ff83 ?AllocateCCall@OSF_BINDING_HANDLE@@QAEJPAPAVOSF_CCALL@@PAU_RPC_MESSAGE@@PAH@Z
234f0 ?EpResolveEndpoint@@YGJPAU_GUID@@PAU_RPC_SYNTAX_IDENTIFIER@@@Z
23f0c ?BindToEpMapper@@YGJPAPAXPAG@Z
2f291 ?ResolveEndpointIfNecessary@DCE_BINDING@@QAEJPAU_RPC_MESSAGE@@@Z
853c7 _NdrAsyncClientCall NdrAsyncClientCall
85d10 _RpcAsyncCompleteCall@8 RpcAsyncCompleteCall
END

module kernel32.dll 0x7c800000 0x83000 '.data
.long 0' << 'END'
9a1d _LocalAlloc@8 LocalAlloc
b6dc _BaseThreadStart@8
b741 _GetModuleHandleA@4 GetModuleHandleA
106d7 _CreateThread@24 CreateThread
END

# Two classes with virtual method tables, one of them with a second one for its second base.
module mapi32.dll 0x35f70000 0x1b000 '.section .rdata,"dr"
.globl "??_7CFolderTable@mapi@@6BCTable@1@@", "??_7CFolderTable@mapi@@6BCNotify@1@@", "??_7?$CList@UItem@mapi@@@mapi@@6B@"
.p2align 2
"??_7CFolderTable@mapi@@6BCTable@1@@": .long "_MAPIInitialize@4", "_FreeProws@4", 0
"??_7CFolderTable@mapi@@6BCNotify@1@@": .long "_FreeProws@4", "_MAPIUninitialize@0", 0
"??_7?$CList@UItem@mapi@@@mapi@@6B@": .long "_MAPIAllocateBuffer@8", "_MAPIFreeBuffer@4", 0
.data
.long 0' << 'END'
15a0 _MAPIInitialize@4 MAPIInitialize
1690 _MAPIUninitialize@0 MAPIUninitialize
2610 _MAPIAllocateBuffer@8 MAPIAllocateBuffer
26a0 _MAPIAllocateMore@12 MAPIAllocateMore
2730 _MAPIFreeBuffer@4 MAPIFreeBuffer
3c40 _FreeProws@4 FreeProws
3d10 _HrQueryAllRows@24 HrQueryAllRows
END

module OLMAPI32.DLL 0x38ee0000 0x120000 '.data
.long 0' << 'END'
a0a4 _MAPIFreeBuffer@4 MAPIFreeBuffer
a219 _MAPIAllocateBuffer@8 MAPIAllocateBuffer
a2b0 _MAPIAllocateMore@12 MAPIAllocateMore
10560 _HrCopyString8Ex2 HrCopyString8Ex2
13921 _HrGetMAPIMalloc2 HrGetMAPIMalloc2
17f4e _HrCopySPropTagArray HrCopySPropTagArray
2ae98 _UNKOBJ_ScAllocateMore UNKOBJ_ScAllocateMore
4d0c5 _HrGetNamedPropsCRC HrGetNamedPropsCRC
4e3a0 _HrGetOneProp HrGetOneProp
END

module EMSMDB32.DLL 0x38b40000 0xb0000 '.data
.long 0' << 'END'
30cd _HrEmsuiInit HrEmsuiInit
d1a0 _MSProviderInit MSProviderInit
4e7d6 _RXP_XPProviderInit RXP_XPProviderInit
END

module MSO.DLL 0x32600000 0xd00000 '.data
.long 0' << 'END'
11c0 _o111 @111
170de _o320 @320
17115 _o577 @577
1940a _o583 @583
END

module 3rdpartydll.dll 0x10000000 0x1e0000 '.data
.long 0' << 'END'
90840 _thirdpartyfunction 3rdpartyclass::3rdpartyfunction
END
rm "$folder"/pdb/{OLMAPI32,EMSMDB32,MSO,3rdpartydll}.pdb
