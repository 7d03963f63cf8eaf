// Tells ThreadSanitizer what it cannot see for itself: synchronisation inside the Swift runtime, whose libraries are
// not instrumented. `scripts/test --sanitize thread` links this into every program; no other build has it.
//
// Each function stands in front of the runtime's own of the same name (symbols of the program win over those of shared
// libraries), calls that one, and reports the edge that it makes anyway. No access is hidden from the sanitizer, so a
// report that is left is a race, or another edge that is missing here.
//
// - `Mutex`: taking a free lock is a compare-and-set inlined into instrumented code, which the sanitizer sees. Taking
//   and giving back one that others wait for is a futex call in libswiftSynchronization.
// - Reference counts: giving up a reference orders all that was done through it before what the one holder who is left
//   does when it finds itself alone (copy-on-write in place) or when it frees the object.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// sanitizer/tsan_interface.h, which Swift toolchains do not ship everywhere.
void __tsan_acquire(void *address);
void __tsan_release(void *address);

// The runtime's own function. Looked up at the first call: libraries call some before constructors of a program run.
static void *runtime(void **place, const char *name) {
    void *found = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        if (found == NULL) abort();
        __atomic_store_n(place, found, __ATOMIC_RELEASE);
    }
    return found;
}
#define RUNTIME(type, name)          \
    static void *place = NULL;       \
    type function = (type)runtime(&place, name)

// MARK: Mutex

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))
#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define TRY_LOCK_SLOW "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"

typedef SWIFT void (*LockSlow)(uint32_t, SELF void *);
typedef SWIFT void (*UnlockSlow)(SELF void *);
typedef SWIFT bool (*TryLockSlow)(SELF void *);

SWIFT void lockSlow(uint32_t thread, SELF void *mutex) __asm__(LOCK_SLOW);
SWIFT void lockSlow(uint32_t thread, SELF void *mutex) {
    RUNTIME(LockSlow, LOCK_SLOW);
    function(thread, mutex);
    __tsan_acquire(mutex);
}

SWIFT bool tryLockSlow(SELF void *mutex) __asm__(TRY_LOCK_SLOW);
SWIFT bool tryLockSlow(SELF void *mutex) {
    RUNTIME(TryLockSlow, TRY_LOCK_SLOW);
    bool isTaken = function(mutex);
    if (isTaken) __tsan_acquire(mutex);
    return isTaken;
}

SWIFT void unlockSlow(SELF void *mutex) __asm__(UNLOCK_SLOW);
SWIFT void unlockSlow(SELF void *mutex) {
    RUNTIME(UnlockSlow, UNLOCK_SLOW);
    __tsan_release(mutex);
    function(mutex);
}

// MARK: reference counts

// Objects of the runtime have positive addresses; references to bridged ones carry marks in the top byte and below.
static void *object(const void *reference) { return (void *)((uintptr_t)reference & 0x00FFFFFFFFFFFFF8); }

typedef void (*Release)(void *);
#define RELEASE(name)                                                              \
    void name(void *reference);                                                    \
    void name(void *reference) {                                                   \
        RUNTIME(Release, #name);                                                   \
        if ((intptr_t)reference > 0) __tsan_release(reference);                    \
        function(reference);                                                       \
    }
RELEASE(swift_release)

void swift_bridgeObjectRelease(void *reference);
void swift_bridgeObjectRelease(void *reference) {
    RUNTIME(Release, "swift_bridgeObjectRelease");
    // A negative one is no object: a text that is a literal or fits into its own 16 bytes.
    if ((intptr_t)reference > 0 && object(reference)) __tsan_release(object(reference));
    function(reference);
}

typedef void (*ReleaseMany)(void *, uint32_t);
#define RELEASE_MANY(name)                                                         \
    void name(void *reference, uint32_t count);                                    \
    void name(void *reference, uint32_t count) {                                   \
        RUNTIME(ReleaseMany, #name);                                               \
        if ((intptr_t)reference > 0) __tsan_release(reference);                    \
        function(reference, count);                                                \
    }
RELEASE_MANY(swift_release_n)

typedef bool (*IsUnique)(const void *);
#define UNIQUE(name)                                                               \
    bool name(const void *reference);                                              \
    bool name(const void *reference) {                                             \
        RUNTIME(IsUnique, #name);                                                  \
        bool isUnique = function(reference);                                       \
        if (isUnique && object(reference)) __tsan_acquire(object(reference));      \
        return isUnique;                                                           \
    }
UNIQUE(swift_isUniquelyReferenced)
UNIQUE(swift_isUniquelyReferencedNonObjC)
UNIQUE(swift_isUniquelyReferencedNonObjC_nonNull)
UNIQUE(swift_isUniquelyReferencedNonObjC_nonNull_bridgeObject)
UNIQUE(swift_isUniquelyReferenced_native)
UNIQUE(swift_isUniquelyReferenced_nonNull)
UNIQUE(swift_isUniquelyReferenced_nonNull_bridgeObject)
UNIQUE(swift_isUniquelyReferenced_nonNull_native)

typedef void (*Free)(void *, size_t, size_t);
#define FREE(name)                                                   \
    void name(void *reference, size_t size, size_t alignmentMask);   \
    void name(void *reference, size_t size, size_t alignmentMask) {  \
        RUNTIME(Free, #name);                                        \
        __tsan_acquire(reference);                                   \
        function(reference, size, alignmentMask);                    \
    }
FREE(swift_deallocClassInstance)
FREE(swift_deallocObject)
