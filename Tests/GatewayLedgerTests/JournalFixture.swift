import GatewayCore
import GatewayLedger
import Glibc
import Synchronization
import TestSupport

/// A directory of its own for one test, in memory where the system has such a place, removed with the object.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(parent)/martlet-journal-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { preconditionFailure("mkdtemp: errno \(errno)") }
        self.path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in self.names { unlink(self.path + "/" + name) }
        rmdir(self.path)
    }

    var names: [String] { (try? SystemJournalFiles().names(in: self.path).sorted()) ?? [] }

    func content(_ name: String) -> [UInt8] { (try? SystemJournalFiles().read(self.path + "/" + name)) ?? [] }

    /// Every file but the lock.
    var image: [String: [UInt8]] {
        var image: [String: [UInt8]] = [:]
        for name in self.names where name != JournalFormat.lockName { image[name] = self.content(name) }
        return image
    }

    func write(_ name: String, _ content: [UInt8]) throws {
        let descriptor = Glibc.open(self.path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { Glibc.close(descriptor) }
        var written = 0
        while written < content.count {
            let count = content.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
            }
            guard count > 0 else { throw FileFailure(operation: "write", path: name, code: errno) }
            written += count
        }
    }

    /// A directory with the same files, as a crash of the process would leave them.
    static func restored(_ image: [String: [UInt8]]) throws -> TemporaryDirectory {
        let directory = TemporaryDirectory()
        for (name, content) in image { try directory.write(name, content) }
        return directory
    }
}

/// The real file system, but one call, or every call from one on, fails. Keeps account of descriptors: one that is
/// closed twice is, the second time, somebody else's.
final class FaultyJournalFiles: JournalFiles {
    enum Pattern: Sendable {
        case never
        case once(Int)
        case from(Int)
    }

    private let real = SystemJournalFiles()
    private let pattern: Mutex<Pattern>
    private let code: Int32
    /// Only calls of this operation count. `nil`: all do.
    private let operation: String?
    private let count = Mutex(0)
    private let descriptors = Mutex<(open: Set<Int32>, closedTwice: [Int32])>(([], []))

    init(_ pattern: Pattern, operation: String? = nil, code: Int32 = EIO) {
        self.pattern = Mutex(pattern)
        self.operation = operation
        self.code = code
    }

    var calls: Int { self.count.withLock { $0 } }
    /// Descriptors given out and not closed.
    var openDescriptors: Set<Int32> { self.descriptors.withLock { $0.open } }
    /// Descriptors that were not open when they were closed; the system never heard of these closes.
    var closedTwice: [Int32] { self.descriptors.withLock { $0.closedTwice } }
    func heal() { self.pattern.withLock { $0 = .never } }

    private func pass(_ operation: String, _ path: String) throws(FileFailure) {
        guard self.operation == nil || self.operation == operation else { return }
        let number = self.count.withLock { count in
            count += 1
            return count
        }
        let fails =
            switch self.pattern.withLock({ $0 }) {
            case .never: false
            case .once(let failing): number == failing
            case .from(let first): number >= first
            }
        if fails { throw FileFailure(operation: operation, path: path, code: self.code) }
    }

    func createDirectory(_ path: String) throws(FileFailure) {
        try self.pass("createDirectory", path)
        try self.real.createDirectory(path)
    }
    func names(in directory: String) throws(FileFailure) -> [String] {
        try self.pass("names", directory)
        return try self.real.names(in: directory)
    }
    func read(_ path: String) throws(FileFailure) -> [UInt8]? {
        try self.pass("read", path)
        return try self.real.read(path)
    }
    func replace(_ path: String, with content: [UInt8]) throws(FileFailure) {
        try self.pass("replace", path)
        try self.real.replace(path, with: content)
    }
    func open(_ path: String, create: Bool) throws(FileFailure) -> Int32 {
        try self.pass("open", path)
        let descriptor = try self.real.open(path, create: create)
        self.descriptors.withLock { _ = $0.open.insert(descriptor) }
        return descriptor
    }
    func close(_ descriptor: Int32) {
        let isOpen = self.descriptors.withLock { descriptors in
            if descriptors.open.remove(descriptor) != nil { return true }
            descriptors.closedTwice.append(descriptor)
            return false
        }
        if isOpen { self.real.close(descriptor) }
    }
    func size(_ descriptor: Int32, path: String) throws(FileFailure) -> Int {
        try self.pass("size", path)
        return try self.real.size(descriptor, path: path)
    }
    func allocate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) {
        try self.pass("allocate", path)
        try self.real.allocate(descriptor, count: count, path: path)
    }
    func map(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) -> UnsafeMutableRawPointer {
        try self.pass("map", path)
        return try self.real.map(descriptor, count: count, path: path)
    }
    func unmap(_ base: UnsafeMutableRawPointer, count: Int) { self.real.unmap(base, count: count) }
    func truncate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) {
        try self.pass("truncate", path)
        try self.real.truncate(descriptor, count: count, path: path)
    }
    func syncData(_ descriptor: Int32, path: String) throws(FileFailure) {
        try self.pass("syncData", path)
        try self.real.syncData(descriptor, path: path)
    }
    func syncDirectory(_ path: String) throws(FileFailure) {
        try self.pass("syncDirectory", path)
        try self.real.syncDirectory(path)
    }
    func rename(_ path: String, to name: String) throws(FileFailure) {
        try self.pass("rename", path)
        try self.real.rename(path, to: name)
    }
    func remove(_ path: String) throws(FileFailure) {
        try self.pass("remove", path)
        try self.real.remove(path)
    }
    func lock(_ descriptor: Int32, path: String) throws(FileFailure) -> Bool {
        try self.pass("lock", path)
        return try self.real.lock(descriptor, path: path)
    }
}

extension JournalConfiguration {
    /// The smallest segments, and no thread: a test syncs when it wants to.
    static let small = JournalConfiguration(segmentBytes: 65_536, bytesMax: 65_536 * 64, syncInterval: nil)
}

/// Opens with the smallest segments and without a thread.
func openJournal(
    _ directory: TemporaryDirectory, configuration: JournalConfiguration = .small,
    files: any JournalFiles = SystemJournalFiles()
) throws(LedgerError) -> (journal: Journal, recovery: JournalRecovery) {
    try Journal.open(
        directory: directory.path, configuration: configuration, clock: ManualWallClock(), files: files)
}

extension Journal {
    /// Everything that can be shipped.
    func allSettlements(after sequence: Int64 = 0) throws -> [UsageEvent] {
        try self.sync()
        return try self.readSettlements(after: sequence, limit: .max)
    }

    func record(_ numbers: some Sequence<Int>, payer: PayerIdentity, route: RouteIdentity) throws {
        for number in numbers {
            try self.recordIntent(.sample(number, payer: payer, route: route))
            try self.recordSettlement(.sample(number, payer: payer, route: route))
        }
    }
}

/// Request numbers of sample events, with a minus for orphans.
func numbers(_ events: [UsageEvent]) -> [Int] {
    events.map { event in
        let number = Int(event.requestID.bits.low & 0xFFFF_FFFF)
        return event.outcome == .podDied ? -number : number
    }
}
