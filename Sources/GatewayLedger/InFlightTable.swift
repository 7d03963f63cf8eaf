import GatewayCore

/// The attempts that have an intent and no settlement, and where the intent stands.
///
/// Open addressing with linear probing in memory of its own: `Dictionary` costs four times as much per call. Not
/// bounded here; the journal bounds it by the room it keeps for settlements.
struct InFlightTable: ~Copyable {
    struct Entry {
        var request: UUIDBits
        var attempt: UInt8
        var isUsed: Bool
        /// Low bits of the serial of the segment that has the intent; segments alive differ in them.
        var serial: UInt32
        /// Where the intent's record starts in it, bytes.
        var offset: UInt32

        static let free = Entry(
            request: UUIDBits(high: 0, low: 0), attempt: 0, isUsed: false, serial: 0, offset: 0)
    }

    private var slots: UnsafeMutablePointer<Entry>
    private var mask: Int
    private(set) var count = 0

    init() {
        self.mask = 255
        self.slots = .allocate(capacity: 256)
        self.slots.initialize(repeating: .free, count: 256)
    }

    deinit { self.slots.deallocate() }

    /// The slot of an attempt. `nil`: it is not in flight.
    @inline(__always)
    func slot(request: UUIDBits, attempt: UInt8) -> Int? {
        var slot = self.home(request, attempt)
        while self.slots[slot].isUsed {
            // Field by field: the synthesized comparison is a call into another module.
            if self.slots[slot].request.low == request.low, self.slots[slot].request.high == request.high,
                self.slots[slot].attempt == attempt
            {
                return slot
            }
            slot = (slot + 1) & self.mask
        }
        return nil
    }

    subscript(slot: Int) -> Entry {
        @inline(__always) get { self.slots[slot] }
        @inline(__always) set { self.slots[slot] = newValue }
    }

    /// Adds an attempt that is not in the table.
    @inline(__always)
    mutating func insert(_ entry: Entry) {
        if (self.count + 1) * 2 > self.mask { self.grow() }
        self.place(entry)
        self.count += 1
    }

    /// Removes the attempt in `slot` and closes the gap, so that no tombstones pile up.
    @inline(__always)
    mutating func remove(slot: Int) {
        var gap = slot
        var next = (slot + 1) & self.mask
        while self.slots[next].isUsed {
            let home = self.home(self.slots[next].request, self.slots[next].attempt)
            if (next &- home) & self.mask >= (next &- gap) & self.mask {
                self.slots[gap] = self.slots[next]
                gap = next
            }
            next = (next + 1) & self.mask
        }
        self.slots[gap].isUsed = false
        self.count -= 1
    }

    /// Attempts whose intent stands in the segment, at most `limit`.
    func entries(inSegment serial: UInt32, limit: Int) -> [Entry] {
        var found: [Entry] = []
        for slot in 0...self.mask where self.slots[slot].isUsed && self.slots[slot].serial == serial {
            if found.count == limit { break }
            found.append(self.slots[slot])
        }
        return found
    }

    /// Identifiers are random in their low word, but a test's may not be: a multiplication spreads them.
    @inline(__always)
    private func home(_ request: UUIDBits, _ attempt: UInt8) -> Int {
        let mixed = (request.low ^ request.high &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(attempt)) &* 0xD6E8_FEB8_6659_FD93
        return Int(truncatingIfNeeded: mixed >> 32) & self.mask
    }

    @inline(__always)
    private func place(_ entry: Entry) {
        var slot = self.home(entry.request, entry.attempt)
        while self.slots[slot].isUsed { slot = (slot + 1) & self.mask }
        self.slots[slot] = entry
    }

    private mutating func grow() {
        let old = self.slots
        let oldCount = self.mask + 1
        self.mask = oldCount * 2 - 1
        self.slots = .allocate(capacity: oldCount * 2)
        self.slots.initialize(repeating: .free, count: oldCount * 2)
        for slot in 0..<oldCount where old[slot].isUsed { self.place(old[slot]) }
        old.deallocate()
    }
}
