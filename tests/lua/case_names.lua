-- Names that the case had from private symbols (PDB), by address. Export tables cannot give them, so of these frames
-- the address and the module are compared.
return {
    ["7c96cf9a"] = "ntdll!RtlDebugAllocateHeap", ["7c949564"] = "ntdll!RtlAllocateHeapSlowly",
    ["77e781f9"] = "rpcrt4!AllocWrapper", ["77e781d0"] = "rpcrt4!operator new",
    ["77e7e697"] = "rpcrt4!DuplicateString", ["77e7e71a"] = "rpcrt4!DCE_BINDING::DCE_BINDING",
    ["77e93fde"] = "rpcrt4!BindToEpMapper", ["77e936d3"] = "rpcrt4!EpResolveEndpoint",
    ["77e9f3db"] = "rpcrt4!DCE_BINDING::ResolveEndpointIfNecessary",
    ["77e800aa"] = "rpcrt4!OSF_BINDING_HANDLE::AllocateCCall",
    ["77e7fdbc"] = "rpcrt4!OSF_BINDING_HANDLE::NegotiateTransferSyntax",
    ["7c80b713"] = "kernel32!BaseThreadStart",
}
