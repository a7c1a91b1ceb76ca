-- The modules of the two sample processes: where they lie, how large they are, what they export.
-- Names are exports these DLLs really have (never names that only a PDB knows); addresses of those the case
-- prints come from its symbol+offset pairs, all others are plausible neighbours that keep those pairs
-- intact.

local modules = {}

local SYSTEM = "C:\\WINDOWS\\system32\\"
local OFFICE = "C:\\Program Files\\Microsoft Office\\Office12\\"

-- "name=address ..." in hex; "@320=address" is a nameless ordinal; "name>DLL.Function" a forwarder.
local function exports(text)
  local list = {}
  for word in text:gmatch("%S+") do
    local name, address = word:match("^(.+)=(%x+)$")
    local from, target = word:match("^(.+)>(.+)$")
    if from then
      list[#list + 1] = { name = from, forward = target }
    elseif name:sub(1, 1) == "@" then
      list[#list + 1] = { ordinal = tonumber(name:sub(2)), address = tonumber(address, 16) }
    else
      list[#list + 1] = { name = name, address = tonumber(address, 16) }
    end
  end
  return list
end

local XP, OFFICE_VERSION = { 5, 1, 2600, 5512 }, { 12, 0, 6315, 5000 }

-- The case's process. Order is load order. ntdll's .data holds the pointer to the trace database at
-- 7c97b170.
function modules.outlook()
  return {
    { name = "OUTLOOK.EXE", path = OFFICE .. "OUTLOOK.EXE", base = 0x30000000, size = 0xc6d000,
      text_size = 0x9c0000, data_size = 0x40000, program = true, timestamp = 0x4850d0c2,
      version = OFFICE_VERSION,
      pdb = "outlook.pdb", exports = {}, entry = 0x30001a6c },
    { name = "ntdll.dll", path = SYSTEM .. "ntdll.dll", base = 0x7c900000, size = 0xb2000,
      text_size = 0x7a000, data_rva = 0x7b000, data_size = 0x5000, data_stored = 0x4000,
      timestamp = 0x4802a12c,
      version = XP, pdb = "ntdll.pdb", exports = exports [[
        RtlEnterCriticalSection=7c901000 RtlLeaveCriticalSection=7c9010e0 RtlTryEnterCriticalSection=7c901160
        DbgBreakPoint=7c90120e DbgUserBreakPoint=7c901212 RtlCaptureContext=7c903640 NtClose=7c90cfee
        NtWaitForSingleObject=7c90df5a KiFastSystemCallRet=7c90e514 NtDelayExecution=7c90d1fe
        NtReplyWaitReceivePortEx=7c90da8e RtlFreeHeap=7c91005d RtlReAllocateHeap=7c9179fd
        RtlAllocateHeap=7c91809d RtlInitUnicodeString=7c919150 RtlSizeHeap=7c9195b2 LdrLoadDll=7c9163a3
        RtlCreateHeap=7c919e02 RtlDestroyHeap=7c91a880 RtlLengthSid=7c92150a RtlUnwind=7c92a7a0
        RtlpNtMakeTemporaryKey=7c943d20 RtlLockHeap=7c9453a1 RtlUnlockHeap=7c945410 RtlValidateHeap=7c94cf6b
        RtlLogStackBackTrace=7c951d20 RtlWalkHeap=7c96a4c0 RtlUsageHeap=7c96b1be
        RtlTraceDatabaseCreate=7c97053c ]] },
    { name = "kernel32.dll", path = SYSTEM .. "kernel32.dll", base = 0x7c800000, size = 0xf6000,
      text_size = 0x83000, data_size = 0x5000, timestamp = 0x4802a12b, version = XP, pdb = "kernel32.pdb",
      exports = exports [[
        CreateFileA=7c801a28 LoadLibraryA=7c801d7b VirtualAlloc=7c809af1 VirtualAllocEx=7c809b12
        LocalAlloc=7c809a1d LocalFree=7c8099bf InterlockedIncrement=7c80980a InterlockedDecrement=7c80981e
        WaitForSingleObject=7c802530 WaitForMultipleObjects=7c80a085 Sleep=7c802446 CloseHandle=7c809be7
        GetModuleFileNameW=7c80b475 GetModuleFileNameA=7c80b56f GetModuleHandleA=7c80b741
        CreateThread=7c8106d7
        GlobalAlloc=7c80fdcd GlobalFree=7c80fccf ExitProcess=7c81cafa GetProcessHeap=7c80ac71
        HeapCreate=7c812c56 HeapDestroy=7c810f41 SetUnhandledExceptionFilter=7c84495d
        HeapAlloc>NTDLL.RtlAllocateHeap HeapReAlloc>NTDLL.RtlReAllocateHeap
        HeapSize>NTDLL.RtlSizeHeap EnterCriticalSection>NTDLL.RtlEnterCriticalSection
        LeaveCriticalSection>NTDLL.RtlLeaveCriticalSection ]] },
    { name = "rpcrt4.dll", path = SYSTEM .. "rpcrt4.dll", base = 0x77e70000, size = 0x92000,
      text_size = 0x86000, data_size = 0x1000, timestamp = 0x4802a106, version = XP, pdb = "rpcrt4.pdb",
      exports = exports [[
        I_RpcAllocate=77e78b10 I_RpcFree=77e78b40 I_RpcFreeBuffer=77e78894 I_RpcGetBufferWithObject=77e789a6
        I_RpcGetBuffer=77e78a29 I_RpcSendReceive=77e78a60 NdrGetBuffer=77e79045 NdrSendReceive=77e790a1
        NdrFreeBuffer=77e7912a RpcStringBindingComposeW=77e7ed20 RpcStringFreeW=77e7ed80
        RpcBindingFromStringBindingW=77e7ed90 RpcBindingSetAuthInfoExW=77e83a12 RpcBindingFree=77e80d25
        NdrClientCall2=77ef4a90 NdrAsyncClientCall=77ef53c7 RpcAsyncCompleteCall=77ef5d10 ]] },
    { name = "ole32.dll", path = SYSTEM .. "ole32.dll", base = 0x774e0000, size = 0x13d000,
      text_size = 0x11f000, data_size = 0x7000, timestamp = 0x4802a111, version = XP, pdb = "ole32.pdb",
      exports = exports [[
        CoTaskMemAlloc=774fd060 CoTaskMemFree=774fd018 CoTaskMemRealloc=774fd0a0 CoInitializeEx=774fef7b
        CoCreateInstance=77500506 CoCreateInstanceEx=7750057e CoMarshalInterface=7752a4c0
        CreateStreamOnHGlobal=7756b1b0 CLSIDFromString=77501a9c StringFromGUID2=774fb9a4 ]] },
    { name = "oleaut32.dll", path = SYSTEM .. "oleaut32.dll", base = 0x77120000, size = 0x8b000,
      text_size = 0x7f000, data_size = 0x4000, timestamp = 0x4802a112, version = XP, pdb = "oleaut32.pdb",
      exports = exports [[
        SysAllocString=77124b39 SysAllocStringLen=77124be8 SysAllocStringByteLen=77124c5c
        SysReAllocStringLen=77124d90 SysFreeString=77124880 SysStringLen=77124a30 VariantClear=77124920
        VariantCopy=77125010 SafeArrayCreate=7712682a LoadTypeLib=7714a0c1 ]] },
    { name = "msvcrt.dll", path = SYSTEM .. "msvcrt.dll", base = 0x77c10000, size = 0x58000,
      text_size = 0x4c000, data_size = 0x7000, timestamp = 0x4802a11d, version = { 7, 0, 2600, 5512 },
      pdb = "msvcrt.pdb", exports = exports [[
        malloc=77c2c407 calloc=77c2c0c3 realloc=77c2c437 free=77c2c21b _strdup=77c467b0 _wcsdup=77c47f70
        ??2@YAPAXI@Z=77c29cc5 ??3@YAXPAX@Z=77c29cdd ??_U@YAPAXI@Z=77c2a0c0 memcpy=77c46f70 memset=77c475f0
        _beginthreadex=77c3a341 wcslen=77c47ee0 strlen=77c478a0 ]] },
    { name = "user32.dll", path = SYSTEM .. "user32.dll", base = 0x7e410000, size = 0x91000,
      text_size = 0x60000, data_size = 0x2000, timestamp = 0x4802a11b, version = XP, pdb = "user32.pdb",
      exports = exports [[
        GetMessageW=7e4191c6 DispatchMessageW=7e418a01 CallWindowProcW=7e41a01e DefWindowProcW=7e41a40e
        SendMessageW=7e42929a PeekMessageW=7e41929b CreateWindowExW=7e42d0a3
        MsgWaitForMultipleObjects=7e4292e6 ]] },
    { name = "mapi32.dll", path = SYSTEM .. "mapi32.dll", base = 0x35f70000, size = 0x24000,
      text_size = 0x1b000, data_size = 0x1000, timestamp = 0x4802a0c9, version = { 1, 0, 2536, 0 },
      pdb = "mapi32.pdb", exports = exports [[
        MAPIInitialize=35f715a0 MAPIUninitialize=35f71690 MAPILogonEx=35f71a70 MAPIAllocateBuffer=35f72610
        MAPIAllocateMore=35f726a0 MAPIFreeBuffer=35f72730 FreeProws=35f73c40 HrQueryAllRows=35f73d10 ]] },
    { name = "MSO.DLL", path = "C:\\Program Files\\Common Files\\Microsoft Shared\\office12\\MSO.DLL",
      base = 0x32600000, size = 0x1018000, text_size = 0xd00000, data_size = 0x90000, timestamp = 0x484fcb0e,
      version = { 12, 0, 6320, 5000 }, pdb = "mso.pdb", exports = exports [[
        @111=326011c0 @139=32601e30 @205=32606a54 @320=326170de @577=32617115 @583=3261940a @660=3261bc60
        @1042=32624f18 @1717=326a1204 @2090=32701f4c @2764=3283a7d0 @3410=32a0bc20 @5010=32dd40c8 ]] },
    { name = "OLMAPI32.DLL", path = OFFICE .. "OLMAPI32.DLL", base = 0x38ee0000, size = 0x150000,
      text_size = 0x120000, data_size = 0x9000, timestamp = 0x4850d09b, version = OFFICE_VERSION,
      pdb = "olmapi32.pdb", exports = exports [[
        MAPIInitialize=38ee1a31 MAPIUninitialize=38ee23c0 MAPIFreeBuffer=38eea0a4 MAPIAllocateBuffer=38eea219
        MAPIAllocateMore=38eea2b0 HrCopyString8Ex2=38ef0560 UNKOBJ_ScAllocate=38ef0820
        HrGetMAPIMalloc2=38ef3921
        HrThisThreadAdviseSink=38ef5010 HrCopySPropTagArray=38ef7f4e ScCopyProps=38ef8a20 FreeProws=38efa6b0
        HrQueryAllRows=38efb200 UNKOBJ_ScAllocateMore=38f0ae98 UNKOBJ_Free=38f0b5c0
        HrGetNamedPropsCRC=38f2d0c5 HrGetOneProp=38f2e3a0 MAPILogonEx=38f41190 ]] },
    { name = "EMSMDB32.DLL", path = OFFICE .. "EMSMDB32.DLL", base = 0x38b40000, size = 0xd0000,
      text_size = 0xb0000, data_size = 0x5000, timestamp = 0x4850d0a7, version = OFFICE_VERSION,
      pdb = "emsmdb32.pdb", exports = exports [[
        HrEmsuiInit=38b430cd MSProviderInit=38b4d1a0 XPProviderInit=38b5f230 ServiceEntry=38b70c10
        RXP_XPProviderInit=38b8e7d6 ]] },
    { name = "3rdpartydll.dll", path = "C:\\Program Files\\3rdparty\\3rdpartydll.dll", base = 0x10000000,
      size = 0x294000, text_size = 0x1e0000, data_size = 0x20000, data_stored = 0x1000,
      timestamp = 0x47f1a2b3,
      version = { 1, 5, 3, 0 }, pdb = "c:\\build\\release\\3rdpartydll.pdb",
      exports = exports "3rdpartyclass::3rdpartyfunction=10090840" },
  }
end

local SERVER = { 5, 2, 3790, 3959 }

-- A generic 64-bit service on Windows Server 2003 SP2.
function modules.service()
  return {
    { name = "rowserv.exe", path = "C:\\Program Files\\Row Server\\rowserv.exe", base = 0x140000000,
      size = 0x80000,
      text_size = 0x60000, data_size = 0x4000, program = true, timestamp = 0x4a0d3c11, version = { 2, 1, 0,
        7 },
      pdb = "d:\\rowserv\\x64\\rowserv.pdb", exports = {}, entry = 0x140001a30 },
    { name = "ntdll.dll", path = SYSTEM .. "ntdll.dll", base = 0x77ec0000, size = 0x13b000,
      text_size = 0xf0000, data_size = 0x10000, data_stored = 0x4000, timestamp = 0x45d70ad4,
      version = SERVER,
      pdb = "ntdll.pdb", exports = exports [[
        RtlEnterCriticalSection=77ed2310 RtlLeaveCriticalSection=77ed2440 RtlAllocateHeap=77ed5de0
        RtlFreeHeap=77ed75d0 RtlReAllocateHeap=77eda9c0 RtlSizeHeap=77edc120 NtWaitForSingleObject=77ef0a20
        NtDelayExecution=77ef0ce0 RtlCreateHeap=77ee6a40 RtlLogStackBackTrace=77f5b120 RtlWalkHeap=77f70c50
        ]] },
    { name = "kernel32.dll", path = SYSTEM .. "kernel32.dll", base = 0x77d40000, size = 0x173000,
      text_size = 0x100000, data_size = 0x8000, timestamp = 0x45d70ad2, version = SERVER,
      pdb = "kernel32.pdb",
      exports = exports [[
        LocalAlloc=77d5a6e0 LocalFree=77d5a7c0 WaitForSingleObject=77d6d7b0 CreateThread=77d6b0f0
        GetModuleHandleA=77d6b620 Sleep=77d5ba10 HeapAlloc>NTDLL.RtlAllocateHeap ]] },
    { name = "rpcrt4.dll", path = SYSTEM .. "rpcrt4.dll", base = 0x7ff7fd30000, size = 0x1a1000,
      text_size = 0x120000, data_size = 0x4000, timestamp = 0x45d70ad5, version = SERVER, pdb = "rpcrt4.pdb",
      exports = exports [[
        I_RpcAllocate=7ff7fd41a10 I_RpcGetBuffer=7ff7fd44c60 NdrGetBuffer=7ff7fd47ac0
        RpcStringBindingComposeW=7ff7fd52340 NdrClientCall2=7ff7fdf0b10 ]] },
    { name = "ole32.dll", path = SYSTEM .. "ole32.dll", base = 0x7ff57140000, size = 0x287000,
      text_size = 0x200000, data_size = 0x8000, timestamp = 0x45d70ad6, version = SERVER, pdb = "ole32.pdb",
      exports = exports "CoTaskMemAlloc=7ff5716b1e0 CoTaskMemFree=7ff5716b190 CoCreateInstance=7ff57182c40" },
    { name = "oleaut32.dll", path = SYSTEM .. "oleaut32.dll", base = 0x7ff56fd0000, size = 0x117000,
      text_size = 0xd0000, data_size = 0x4000, timestamp = 0x45d70ad7, version = SERVER, pdb = "oleaut32.pdb",
      exports = exports "SysAllocString=7ff56fd5a40 SysFreeString=7ff56fd5790" },
    { name = "msvcrt.dll", path = SYSTEM .. "msvcrt.dll", base = 0x7ff7fc00000, size = 0x86000,
      text_size = 0x6c000, data_size = 0x6000, timestamp = 0x45d70ad8, version = { 7, 0, 3790, 3959 },
      pdb = "msvcrt.pdb", exports = exports [[
        malloc=7ff7fc29b60 free=7ff7fc29c50 ??2@YAPEAX_K@Z=7ff7fc2a840 memcpy=7ff7fc37490 ]] },
    { name = "mapi32.dll", path = SYSTEM .. "mapi32.dll", base = 0x7ff61000000, size = 0x150000,
      text_size = 0x120000, data_size = 0x4000, timestamp = 0x49b7a3e0, version = { 6, 5, 8211, 0 },
      pdb = "mapi32.pdb", exports = exports [[
        MAPIInitialize=7ff61003a10 MAPIAllocateBuffer=7ff6100a2c0 MAPIAllocateMore=7ff6100a3a0
        MAPIFreeBuffer=7ff6100a480 FreeProws=7ff6100c9d0 HrQueryAllRows=7ff6100d210 ]] },
    { name = "addin.dll", path = "C:\\Program Files\\Row Server\\addin.dll", base = 0x180000000,
      size = 0x60000,
      text_size = 0x40000, data_size = 0x2000, data_stored = 0x1000, timestamp = 0x49e2f011,
      version = { 1, 0, 0, 4 }, pdb = "addin.pdb",
      exports = exports "AddinMain=180012340 AddinStop=180013aa0" },
  }
end

-- Fills what the tables above leave out, and gives access by lower-case name.
function modules.prepare(list, random)
  local by_name = {}
  for index, module in ipairs(list) do
    module.export_name = module.path:match("[^\\]+$")
    module.checksum = module.size + random(0, 0xfff) * 16
    module.index = index
    by_name[module.name:lower():match("^(.-)%.%a+$")] = module
  end
  return by_name
end

return modules
