/* A small libnvidia-ml.so.1 for end-to-end tests through the real loader.
 * NVML_STUB_INIT: return code of nvmlInit. NVML_STUB_MODE: "" one healthy card, "lost" a second card
 * that is lost in the middle, "hang" a getter that never returns. Other getters do not exist. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct {
    char legacy[16];
    unsigned int domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
} pci_info;

enum { OK = 0, INVALID = 2, LOST = 15 };
static const unsigned long long MIB = 1024ull * 1024ull;

static int mode(const char *name) {
    const char *value = getenv("NVML_STUB_MODE");
    return value && strcmp(value, name) == 0;
}
static int lost(void *device) { return mode("lost") && (size_t)device == 2; }

/* A library that waits for its own stuck thread when the process ends. */
__attribute__((destructor)) static void torn_down(void) {
    if (mode("hang")) pause();
}

int nvmlInitWithFlags(unsigned int flags) {
    const char *code = getenv("NVML_STUB_INIT");
    (void)flags;
    return code ? atoi(code) : OK;
}
int nvmlShutdown(void) { return OK; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { strncpy(text, "580.95.05", size); return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return OK; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = mode("lost") ? 2 : 1; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    *device = (void *)(size_t)(index + 1);
    return OK;
}
int nvmlDeviceGetName(void *device, char *text, unsigned int size) {
    if (lost(device)) return LOST;
    strncpy(text, "NVIDIA GeForce RTX 3060", size);
    return OK;
}
int nvmlDeviceGetPciInfo_v3(void *device, pci_info *info) {
    memset(info, 0, sizeof *info);
    strcpy(info->bus_id, (size_t)device == 2 ? "00000000:E2:00.0" : "00000000:E1:00.0");
    info->pci_device_id = 0x250310de;
    return OK;
}
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    (void)device;
    *major = 8;
    *minor = 6;
    return OK;
}
int nvmlDeviceGetArchitecture(void *device, unsigned int *number) { (void)device; *number = 7; return OK; }
int nvmlDeviceGetMemoryInfo(void *device, memory_v1 *memory) {
    if (lost(device)) return LOST;
    memory->total = 12288 * MIB;
    memory->free = 12000 * MIB;
    memory->used = 288 * MIB;
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *memory) {
    if (mode("hang")) pause();
    if (lost(device)) return LOST;
    if (memory->version != 0x02000028) return INVALID;
    memory->total = 12288 * MIB;
    memory->reserved = 250 * MIB;
    memory->free = 12000 * MIB;
    memory->used = 38 * MIB;
    return OK;
}
int nvmlDeviceGetMemoryBusWidth(void *device, unsigned int *bits) {
    if (lost(device)) return LOST;
    *bits = 192;
    return OK;
}
int nvmlDeviceGetMaxClockInfo(void *device, unsigned int kind, unsigned int *mhz) {
    if (lost(device)) return LOST;
    *mhz = kind == 2 ? 7501 : 2100;
    return OK;
}
