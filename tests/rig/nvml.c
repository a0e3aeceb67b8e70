/* A stand-in for NVIDIA's nvml.dll with one card, for the Windows rig.
 *
 * It exports what the scan asks first; every other getter is missing, as in an
 * old driver, and becomes "function not found" through the real bindings.
 * Figures: an RTX 4080 Laptop GPU as published logs show it.
 */
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT __declspec(dllexport)

static void text(char *to, const char *from, u32 size) {
    u32 i = 0;
    for (; from[i] && i + 1 < size; i++) to[i] = from[i];
    if (size) to[i] = 0;
}

struct memory { u64 total, free, used; };
struct memory_v2 { u32 version; u64 total, reserved, free, used; };
struct pci {
    char bus_id_legacy[16];
    u32 domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

static const u64 MIB = 1024 * 1024;

EXPORT int nvmlInit_v2(void) { return 0; }
EXPORT int nvmlInitWithFlags(u32 flags) { return (void)flags, 0; }
EXPORT int nvmlShutdown(void) { return 0; }
EXPORT int nvmlSystemGetDriverVersion(char *to, u32 size) { return text(to, "566.36", size), 0; }
EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *to) { return *to = 12070, 0; }
EXPORT int nvmlDeviceGetCount_v2(u32 *to) { return *to = 1, 0; }

EXPORT int nvmlDeviceGetHandleByIndex_v2(u32 index, void **to) {
    if (index) return 2;
    return *to = (void *)1, 0;
}

EXPORT int nvmlDeviceGetName(void *card, char *to, u32 size) {
    return (void)card, text(to, "NVIDIA GeForce RTX 4080 Laptop GPU", size), 0;
}

EXPORT int nvmlDeviceGetUUID(void *card, char *to, u32 size) {
    return (void)card, text(to, "GPU-12345678-1234-1234-1234-123456789012", size), 0;
}

EXPORT int nvmlDeviceGetPciInfo_v3(void *card, struct pci *to) {
    (void)card;
    text(to->bus_id_legacy, "0000:01:00.0", sizeof to->bus_id_legacy);
    text(to->bus_id, "00000000:01:00.0", sizeof to->bus_id);
    to->domain = 0, to->bus = 1, to->device = 0;
    to->pci_device_id = 0x27A010DE, to->pci_subsystem_id = 0x13C21462;
    return 0;
}

EXPORT int nvmlDeviceGetMemoryInfo(void *card, struct memory *to) {
    (void)card;
    to->total = 12282 * MIB, to->free = 11000 * MIB, to->used = 1282 * MIB;
    return 0;
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(void *card, struct memory_v2 *to) {
    (void)card;
    to->total = 12282 * MIB, to->reserved = 256 * MIB, to->free = 11000 * MIB, to->used = 1026 * MIB;
    return 0;
}

EXPORT int nvmlDeviceGetCudaComputeCapability(void *card, int *major, int *minor) {
    return (void)card, *major = 8, *minor = 9, 0;
}

EXPORT int nvmlDeviceGetMemoryBusWidth(void *card, u32 *to) { return (void)card, *to = 192, 0; }

EXPORT int nvmlDeviceGetMaxClockInfo(void *card, u32 kind, u32 *to) {
    return (void)card, *to = kind == 2 ? 9001 : 2280, 0;
}

EXPORT int nvmlDeviceGetDriverModel_v2(void *card, u32 *now, u32 *pending) {
    return (void)card, *now = *pending = 0, 0;
}

int _DllMainCRTStartup(void *library, u32 reason, void *reserved) {
    return (void)library, (void)reason, (void)reserved, 1;
}
