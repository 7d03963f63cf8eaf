import GatewayCore

/// The journal's brain: where the next record goes, what is in flight, what is durable. Owned by one place at a time
/// (the journal keeps it under its lock); does no waiting of its own.
///
///     spare --activate--> current --seal--> sealed, not synced --sync--> sealed, durable --trim--> removed
///
/// Room is kept so that every open intent can be settled: an intent is admitted only if the free bytes of the current
/// segment and of the spares hold the largest settlement, with its payer and route, for each attempt in flight.
struct JournalWriter: ~Copyable {
    let directory: String
    let journalID: JournalID
    let configuration: JournalConfiguration
    let files: any JournalFiles

    /// Oldest first; the last one is the current one. Serials are dense.
    var segments: [JournalSegment] = []
    var spares: [JournalSegment] = []
    var spareNumber = 0
    var sealedBytes = 0
    /// Of the last settlement.
    var sequence: Int64
    var durableSequence: Int64
    /// All before this place is on the disk.
    var durablePlace: (serial: UInt64, offset: Int) = (0, 0)
    var inFlight = InFlightTable()
    /// Largest payer and route record that was written, together.
    var definitionBytesMax = 512
    /// Bytes were written that no sync has been asked to cover.
    var isDirty = false
    var isDirectoryDirty = false
    var isClosed = false
    /// Why no sync can be trusted any more. `nil`: all is well.
    var failure: String?
    /// Why the last intent was refused for want of room. `nil`: it was not.
    var refusal: String?

    private(set) var current: JournalSegment
    // The current segment's, copied here because a record should not cost a walk through pointers.
    private var base: UnsafeMutableRawPointer
    private var seed: UInt32 = 0
    private var slotSerial: UInt64 = 0
    /// Where the next record goes.
    private(set) var position = 0
    /// Where records must end, so that the mark of the segment's end still fits.
    private var limit = 0
    private var payers: UInt32 = 0
    private var routes: UInt32 = 0

    /// Starts a new segment behind `segments`; `lastSequence` is that of the last settlement in them.
    init(
        directory: String, journalID: JournalID, configuration: JournalConfiguration, files: any JournalFiles,
        segments: [JournalSegment], lastSequence: Int64
    ) throws(LedgerError) {
        self.directory = directory
        self.journalID = journalID
        self.configuration = configuration
        self.files = files
        self.segments = segments
        self.sealedBytes = segments.reduce(0) { $0 + $1.used }
        self.sequence = lastSequence
        self.durableSequence = lastSequence
        let first: JournalSegment
        do {
            first = try JournalSegment.createSpare(
                directory: directory, number: 0, capacity: configuration.segmentBytes, files: files)
            try first.activate(
                directory: directory, journalID: journalID, serial: (segments.last?.serial ?? 0) + 1,
                firstSequence: lastSequence + 1)
        } catch {
            throw error.ledgerError
        }
        self.current = first
        self.base = first.base
        self.isDirty = true
        self.isDirectoryDirty = true
        self.use(first)
    }

    /// Bytes of records in all segments.
    var depthBytes: Int { self.sealedBytes + self.position }

    // MARK: Records

    mutating func append(_ intent: UsageIntent) throws(LedgerError) {
        if self.isClosed || self.failure != nil { throw self.stopped() }
        let request = intent.requestID.bits
        guard self.inFlight.slot(request: request, attempt: intent.attempt) == nil else {
            throw .conflict("attempt \(intent.attempt) of request \(intent.requestID.text) has an open intent already")
        }
        guard self.depthBytes <= self.configuration.bytesMax / 100 * JournalConfiguration.intentPercentMax else {
            throw self.refused("the journal holds \(self.depthBytes) bytes of at most \(self.configuration.bytesMax)")
        }
        let isDefined = self.isDefined(intent.payer, intent.route)
        try self.keepRoom(for: JournalFormat.intentBytesMax, settlements: self.inFlight.count + 1)
        try self.makeContiguous(JournalFormat.intentBytesMax, intent.payer, intent.route, isDefined: isDefined)
        if self.refusal != nil { self.refusal = nil }
        let offset = self.write(intent, isCarried: false)
        self.inFlight.insert(
            InFlightTable.Entry(
                request: request, attempt: intent.attempt, isUsed: true,
                serial: UInt32(truncatingIfNeeded: self.current.serial), offset: offset))
        self.current.openIntents += 1
    }

    mutating func append(_ event: UsageEvent) throws(LedgerError) {
        if self.isClosed { throw self.stopped() }
        guard let slot = self.inFlight.slot(request: event.requestID.bits, attempt: event.attempt) else {
            throw .conflict(
                "attempt \(event.attempt) of request \(event.requestID.text) has no open intent: "
                    + "it was settled already, or its intent was not recorded")
        }
        try self.write(event)
        let serial = self.inFlight[slot].serial
        self.inFlight.remove(slot: slot)
        self.countDown(serial)
    }

    /// Writes a settlement, whether or not its intent is in the table (at recovery it is not).
    mutating func write(_ event: UsageEvent) throws(LedgerError) {
        let isDefined = self.isDefined(event.payer, event.route)
        try self.makeContiguous(JournalFormat.settlementBytesMax, event.payer, event.route, isDefined: isDefined)
        let payer = self.index(of: event.payer)
        let route = self.index(of: event.route)
        self.sequence += 1
        self.position += JournalFormat.writeSettlement(
            event, sequence: self.sequence, payer: payer, route: route, at: self.base + self.position,
            seed: self.seed)
        self.isDirty = true
    }

    /// Writes an open intent of an old segment again, so that the old one can go. Nothing happens when it was settled
    /// meanwhile.
    /// - Throws: `.journalFull`: it stays where it is.
    mutating func carry(_ intent: UsageIntent, from serial: UInt64, offset: Int) throws(LedgerError) {
        guard let slot = self.inFlight.slot(request: intent.requestID.bits, attempt: intent.attempt),
            self.inFlight[slot].serial == UInt32(truncatingIfNeeded: serial),
            self.inFlight[slot].offset == UInt32(truncatingIfNeeded: offset), !self.isClosed
        else { return }
        let isDefined = self.isDefined(intent.payer, intent.route)
        try self.keepRoom(for: JournalFormat.intentBytesMax, settlements: self.inFlight.count)
        try self.makeContiguous(JournalFormat.intentBytesMax, intent.payer, intent.route, isDefined: isDefined)
        self.inFlight[slot].offset = self.write(intent, isCarried: true)
        self.inFlight[slot].serial = UInt32(truncatingIfNeeded: self.current.serial)
        self.current.openIntents += 1
        self.countDown(UInt32(truncatingIfNeeded: serial))
    }

    /// Returns where the record starts.
    @inline(__always)
    private mutating func write(_ intent: UsageIntent, isCarried: Bool) -> UInt32 {
        let payer = self.index(of: intent.payer)
        let route = self.index(of: intent.route)
        let offset = self.position
        self.position += JournalFormat.writeIntent(
            intent, isCarried: isCarried, payer: payer, route: route, at: self.base + offset, seed: self.seed)
        self.isDirty = true
        return UInt32(truncatingIfNeeded: offset)
    }

    @inline(__always)
    private mutating func countDown(_ serial: UInt32) {
        if serial == UInt32(truncatingIfNeeded: self.current.serial) {
            self.current.openIntents -= 1
        } else {
            let first = UInt32(truncatingIfNeeded: self.segments[0].serial)
            self.segments[Int(serial &- first)].openIntents -= 1
        }
    }

    // MARK: Payers and routes

    @inline(__always)
    private mutating func isDefined(_ payer: PayerIdentity, _ route: RouteIdentity) -> Bool {
        if payer.journalSlot.load(ordering: .relaxed) >> 32 == self.slotSerial,
            route.journalSlot.load(ordering: .relaxed) >> 32 == self.slotSerial
        {
            return true
        }
        let bytes = JournalFormat.definitionBytes(payer) + JournalFormat.definitionBytes(route)
        self.definitionBytesMax = max(self.definitionBytesMax, bytes)
        return false
    }

    @inline(__always)
    private mutating func index(of payer: PayerIdentity) -> UInt32 {
        let slot = payer.journalSlot.load(ordering: .relaxed)
        if slot >> 32 == self.slotSerial { return UInt32(truncatingIfNeeded: slot) }
        self.position += JournalFormat.writeDefinition(payer, at: self.base + self.position, seed: self.seed)
        payer.journalSlot.store(self.slotSerial << 32 | UInt64(self.payers), ordering: .relaxed)
        self.payers += 1
        return self.payers - 1
    }

    @inline(__always)
    private mutating func index(of route: RouteIdentity) -> UInt32 {
        let slot = route.journalSlot.load(ordering: .relaxed)
        if slot >> 32 == self.slotSerial { return UInt32(truncatingIfNeeded: slot) }
        self.position += JournalFormat.writeDefinition(route, at: self.base + self.position, seed: self.seed)
        route.journalSlot.store(self.slotSerial << 32 | UInt64(self.routes), ordering: .relaxed)
        self.routes += 1
        return self.routes - 1
    }

    // MARK: Room

    /// Room that one settlement may take, with its payer and route.
    private var settlementRoom: Int { JournalFormat.settlementBytesMax + self.definitionBytesMax }

    /// Makes sure that `bytes`, and after them `settlements` of the largest kind, fit in what is allocated.
    /// - Throws: `.journalFull`.
    @inline(__always)
    private mutating func keepRoom(for bytes: Int, settlements: Int) throws(LedgerError) {
        let needed = bytes + self.definitionBytesMax + settlements * self.settlementRoom
        if self.position + needed <= self.limit { return }
        try self.keepRoomInSpares(needed)
    }

    private mutating func keepRoomInSpares(_ needed: Int) throws(LedgerError) {
        // What is left at a segment's end when the next record does not fit is lost, hence one record less in each.
        let lost = self.settlementRoom
        let spareRoom = self.configuration.segmentBytes - JournalFormat.headerBytes - JournalFormat.endBytes - lost
        var room = max(0, self.limit - self.position - lost) + self.spares.count * spareRoom
        while room < needed {
            try self.addSpare(mayExceedBound: false)
            room += spareRoom
        }
    }

    /// Starts a new segment if the record and its definitions do not fit in this one.
    @inline(__always)
    private mutating func makeContiguous(
        _ bytes: Int, _ payer: PayerIdentity, _ route: RouteIdentity, isDefined: Bool
    ) throws(LedgerError) {
        if isDefined, self.position + bytes <= self.limit { return }
        if self.position + bytes + self.definitionBytesMax <= self.limit { return }
        try self.roll()
    }

    private mutating func addSpare(mayExceedBound: Bool) throws(LedgerError) {
        let size = self.configuration.segmentBytes
        let allocated = self.sealedBytes + (1 + self.spares.count) * size
        guard mayExceedBound || allocated + size <= self.configuration.bytesMax else {
            throw self.refused(
                "the journal has \(allocated) of at most \(self.configuration.bytesMax) bytes allocated and "
                    + "\(self.inFlight.count) attempts in flight")
        }
        do {
            self.spares.append(
                try JournalSegment.createSpare(
                    directory: self.directory, number: self.takeSpareNumber(), capacity: size, files: self.files))
        } catch {
            let failure = error.ledgerError
            self.refusal = failure.message
            throw failure
        }
    }

    mutating func takeSpareNumber() -> Int {
        self.spareNumber += 1
        return self.spareNumber
    }

    /// Half of the current segment is used, so the next one should be made before a call has to wait for it.
    var wantsSpare: Bool {
        self.spares.isEmpty && self.position * 2 > self.limit && !self.isClosed && self.failure == nil
            && self.sealedBytes + 2 * self.configuration.segmentBytes <= self.configuration.bytesMax
    }

    private mutating func roll() throws(LedgerError) {
        if self.spares.isEmpty { try self.addSpare(mayExceedBound: true) }
        let next = self.spares[0]
        do {
            try next.activate(
                directory: self.directory, journalID: self.journalID, serial: self.current.serial + 1,
                firstSequence: self.sequence + 1)
        } catch {
            throw error.ledgerError
        }
        self.spares.removeFirst()
        self.position += JournalFormat.writeEnd(at: self.base + self.position, seed: self.seed)
        self.noteCurrent()
        self.sealedBytes += self.position
        self.isDirty = true
        self.isDirectoryDirty = true
        self.use(next)
    }

    /// Writes down in the current segment's object how far it has come.
    private mutating func noteCurrent() {
        self.current.used = self.position
        self.current.lastSequence = self.sequence
        self.current.isSynced = false
    }

    private mutating func use(_ segment: JournalSegment) {
        self.segments.append(segment)
        self.current = segment
        self.base = segment.base
        self.seed = segment.seed
        self.slotSerial = UInt64(segment.slotSerial)
        self.position = segment.used
        self.limit = segment.capacity - JournalFormat.endBytes
        self.payers = 0
        self.routes = 0
    }

    /// Marks in the journal itself how far it is known to be on the disk. Not counted as something to sync: the next
    /// sync of real records takes it along.
    mutating func writeDurable(_ target: SyncTarget) {
        guard self.position + JournalFormat.durableBytesMax <= self.limit else { return }
        self.position += JournalFormat.writeDurable(
            at: self.base + self.position, seed: self.seed, serial: target.serial, offset: target.offset,
            sequence: target.sequence)
    }

    // MARK: Errors

    private mutating func refused(_ reason: String) -> LedgerError {
        let message =
            reason + "; metered calls are refused until it has been shipped: check that the store is reachable, "
            + "or raise the journal's bound"
        self.refusal = message
        return .journalFull(message)
    }

    private func stopped() -> LedgerError {
        if let failure = self.failure, !self.isClosed { return .unavailable(failure) }
        return .unavailable("the journal in \(self.directory) is closed")
    }
}
