#define _GNU_SOURCE
#include "CMartlet.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

static bool is_short_escape(uint8_t byte) {
    return byte == '"' || byte == '\\' || byte == '/' || byte == 'b' || byte == 'f' || byte == 'n' || byte == 'r'
        || byte == 't';
}

#if defined(__x86_64__)
/// One bit per byte of `block`: quote, backslash, control character, or not ASCII.
static uint64_t string_stops(const uint8_t *block) {
    const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    uint64_t mask = 0;
    for (int part = 0; part < 4; part++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(block + part * 16));
        // Signed, a byte above 0x7F is below 0x20 too.
        __m128i stops = _mm_or_si128(
            _mm_cmplt_epi8(bytes, space), _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, escape)));
        mask |= (uint64_t)(uint16_t)_mm_movemask_epi8(stops) << (part * 16);
    }
    return mask;
}
#endif

long cmartlet_skip_string(const void *start, long position, long end, long *escapes) {
    const uint8_t *bytes = start;
    long count = 0;
#if defined(__x86_64__)
    while (end - position >= 65) {  // one more than a block, so that the byte behind a last backslash is there
        uint64_t stops = string_stops(bytes + position);
        long skipped = 64;
        while (stops) {
            long offset = __builtin_ctzll(stops);
            const uint8_t *stop = bytes + position + offset;
            if (*stop != '\\' || !is_short_escape(stop[1])) {
                *escapes += count;
                return position + offset;
            }
            count++;
            if (offset == 63) {
                skipped = 65;
                break;
            }
            stops &= ~(3ull << offset);
        }
        position += skipped;
    }
#endif
    while (position < end) {
        uint8_t byte = bytes[position];
        if (byte == '\\' && position + 1 < end && is_short_escape(bytes[position + 1])) {
            position += 2;
            count++;
        } else if (byte == '"' || byte == '\\' || byte < 0x20 || byte > 0x7F) {
            break;
        } else {
            position++;
        }
    }
    *escapes += count;
    return position;
}

int64_t cmartlet_find(const void *bytes, size_t count, const void *text, size_t text_count) {
    const char *found = memmem(bytes, count, text, text_count);
    return found ? found - (const char *)bytes : -1;
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

/// sched_setattr(2), the first version of its structure; glibc before 2.41 has neither.
struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime;
    uint64_t deadline;
    uint64_t period;
};

int cmartlet_prefer_latency(void) {
    if (sched_getscheduler(0) != SCHED_OTHER) return 0;  // whoever started the process so knows better
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, 0);  // of this thread; setting a policy sets the nice value with it
    if (errno != 0) return errno;
    struct scheduling wanted = {.size = sizeof wanted, .policy = SCHED_OTHER, .nice = nice, .runtime = 100000};
    return syscall(SYS_sched_setattr, 0, &wanted, 0) == 0 ? 0 : errno;
}

int cmartlet_prefer_others(int nice) {
    int policy = sched_getscheduler(0);
    if (policy != SCHED_OTHER && policy != SCHED_BATCH) return 0;
    errno = 0;
    int current = getpriority(PRIO_PROCESS, 0);
    if (errno != 0) return errno;
    // Lowering a nice value needs a privilege, and whoever started the process with a higher one meant it.
    if (nice < current) nice = current;
    struct scheduling wanted = {.size = sizeof wanted, .policy = SCHED_BATCH, .nice = nice};
    return syscall(SYS_sched_setattr, 0, &wanted, 0) == 0 ? 0 : errno;
}

static int signal_pipe[2] = {-1, -1};

// May interrupt anything, so it does nothing but one write, and leaves errno as it was. A full pipe does not block it.
static void note_signal(int number) {
    int before = errno;
    uint8_t byte = (uint8_t)number;
    (void)!write(signal_pipe[1], &byte, 1);
    errno = before;
}

int cmartlet_watch_signals(const int *numbers, size_t count) {
    if (pipe2(signal_pipe, O_CLOEXEC)) return -1;
    if (fcntl(signal_pipe[1], F_SETFL, O_NONBLOCK)) return -1;
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    for (size_t index = 0; index < count; index++)
        if (sigaction(numbers[index], &action, NULL)) return -1;
    return signal_pipe[0];
}

void cmartlet_name_thread(const char *name) { prctl(PR_SET_NAME, name); }

// Only what is executable and cannot be written: such pages hold nothing but the file's bytes. Read-only data does not
// qualify, because the loader has relocated some of it.
static int release_code(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size;
    (void)unused;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
        if (segment->p_type != PT_LOAD || (segment->p_flags & (PF_X | PF_W)) != PF_X) continue;
        uintptr_t start = (object->dlpi_addr + segment->p_vaddr + page - 1) & ~(page - 1);
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);
        // Where the kernel refuses, as for its own vDSO, the pages stay.
        if (start < end) (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void cmartlet_release_code(void) { (void)dl_iterate_phdr(release_code, NULL); }
