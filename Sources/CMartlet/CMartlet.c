#define _GNU_SOURCE
#include "CMartlet.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static uint32_t table[256];

__attribute__((constructor)) static void fill_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
        table[i] = crc;
    }
}

uint32_t cmartlet_crc32c_portable(uint32_t seed, const void *bytes, size_t count) {
    const uint8_t *byte = bytes;
    uint32_t crc = ~seed;
    while (count--) crc = crc >> 8 ^ table[(crc ^ *byte++) & 255];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_hardware(uint32_t seed, const void *bytes, size_t count) {
    const uint8_t *byte = bytes;
    uint64_t crc = (uint32_t)~seed;
    for (; count >= 8; count -= 8, byte += 8) {
        uint64_t word;
        memcpy(&word, byte, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    while (count--) crc = _mm_crc32_u8((uint32_t)crc, *byte++);
    return ~(uint32_t)crc;
}
static bool has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t crc32c_hardware(uint32_t seed, const void *bytes, size_t count) {
    const uint8_t *byte = bytes;
    uint32_t crc = ~seed;
    for (; count >= 8; count -= 8, byte += 8) {
        uint64_t word;
        memcpy(&word, byte, 8);
        crc = __crc32cd(crc, word);
    }
    while (count--) crc = __crc32cb(crc, *byte++);
    return ~crc;
}
static bool has_hardware(void) { return getauxval(AT_HWCAP) & HWCAP_CRC32; }
#else
static uint32_t crc32c_hardware(uint32_t seed, const void *bytes, size_t count) {
    return cmartlet_crc32c_portable(seed, bytes, count);
}
static bool has_hardware(void) { return false; }
#endif

static bool use_hardware;

__attribute__((constructor)) static void choose(void) { use_hardware = has_hardware(); }

uint32_t cmartlet_crc32c(uint32_t seed, const void *bytes, size_t count) {
    return use_hardware ? crc32c_hardware(seed, bytes, count) : cmartlet_crc32c_portable(seed, bytes, count);
}

long cmartlet_find(const void *haystack, size_t haystack_count, const void *needle, size_t needle_count) {
    const char *found = memmem(haystack, haystack_count, needle, needle_count);
    return found ? found - (const char *)haystack : -1;
}

int cmartlet_usable_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

int cmartlet_allocate(int descriptor, int64_t offset, int64_t count) {
    return posix_fallocate(descriptor, offset, count);
}

int cmartlet_sync_data(int descriptor) { return fdatasync(descriptor) == 0 ? 0 : errno; }

int cmartlet_lock_exclusively(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno; }
