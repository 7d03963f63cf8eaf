// Small things that Swift's Glibc overlay does not reach: CRC-32C in hardware, vector search, CPU affinity, fallocate.
#ifndef CMARTLET_H
#define CMARTLET_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `count` bytes, continuing from `seed` (0 to start).
/// Uses the processor's instruction where it has one, a table otherwise; both give the same value.
uint32_t cmartlet_crc32c(uint32_t seed, const void *bytes, size_t count);
/// The table version, for comparing the two in a test.
uint32_t cmartlet_crc32c_portable(uint32_t seed, const void *bytes, size_t count);
/// Skips plain ASCII and two-byte escapes (backslash and one of "\/bfnrt) within a JSON string, 64 bytes at a time.
/// Returns the offset of the first byte that is something else (closing quote, control character, not ASCII, another
/// or an incomplete escape), or `end`; adds the number of escapes skipped to `*escapes`. Reads only [position, end).
long cmartlet_skip_string(const void *bytes, long position, long end, long *escapes);
/// 16 bytes.
typedef unsigned char cmartlet_lanes __attribute__((ext_vector_type(16)));
/// Index 0...15 of the first lane of `mask` that is set, -1: none. Lanes must be 0x00 or 0xFF. In the header so that it
/// is inlined: it is what every search of bytes ends in.
static inline long cmartlet_first_lane(cmartlet_lanes mask) {
#if defined(__x86_64__)
    typedef char signed_lanes __attribute__((vector_size(16)));
    unsigned bits = (unsigned)__builtin_ia32_pmovmskb128((signed_lanes)mask);
    return bits ? __builtin_ctz(bits) : -1;
#else
    typedef unsigned long long words __attribute__((ext_vector_type(2)));
    words pair = (words)mask;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    if (pair[0]) return __builtin_clzll(pair[0]) >> 3;
    return pair[1] ? 8 + (__builtin_clzll(pair[1]) >> 3) : -1;
#else
    if (pair[0]) return __builtin_ctzll(pair[0]) >> 3;
    return pair[1] ? 8 + (__builtin_ctzll(pair[1]) >> 3) : -1;
#endif
#endif
}
/// Offset of the first occurrence of `text` in `bytes`, in time that grows with their sum whatever they hold. -1: none.
int64_t cmartlet_find(const void *bytes, size_t count, const void *text, size_t text_count);
/// Number of processors this process may run on (its affinity mask), at least 1.
int cmartlet_usable_processors(void);
/// posix_fallocate: 0, or the errno.
int cmartlet_allocate(int descriptor, int64_t offset, int64_t count);
/// fdatasync: 0, or the errno.
int cmartlet_sync_data(int descriptor);
/// flock exclusively without waiting: 0, or the errno (EWOULDBLOCK: another process holds it).
int cmartlet_lock_exclusively(int descriptor);
/// Gives the calling thread the shortest time slice there is (100 us), so that once it wakes it takes the core from
/// threads with longer ones: a wake-up otherwise waits for the end of a slice of milliseconds. 0, or the errno. Linux
/// before 6.12 takes the call and ignores the slice.
int cmartlet_prefer_latency(void);
/// Lets the calling thread give way: SCHED_BATCH, whose wake-up takes the core from nobody, and a nice value (0...19)
/// at least this high. It can not be taken back. 0, or the errno.
int cmartlet_prefer_others(int nice);

/// Gives back the pages of code, the process's own and its libraries', that starting has touched and serving does not
/// need. They are unchanged parts of files: what is needed again is mapped again from the page cache.
void cmartlet_release_code(void);
/// From now on the signals in `numbers` do nothing but write their number, one byte, to a pipe; none that comes later is
/// lost, but for those beyond what a pipe holds. To be called once. The pipe's reading end; -1: errno says why not.
int cmartlet_watch_signals(const int *numbers, size_t count);
/// Names the calling thread for ps and top; what is beyond 15 bytes is cut off.
void cmartlet_name_thread(const char *name);

#endif
