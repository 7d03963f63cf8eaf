import GatewayLedger
import Glibc
import Synchronization

/// A directory of real files that several simulated processes share. What a process wrote survives its death; what it
/// did not sync does not survive the machine's. Locks belong to simulated processes, not to this real one.
final class SimulatedDisk: Sendable {
    struct State {
        /// Content of each file when it was last synced.
        var synced: [String: [UInt8]] = [:]
        var paths: [Int32: (path: String, owner: Int)] = [:]
        /// Which descriptor of which process holds the lock of a file.
        var locks: [String: (owner: Int, descriptor: Int32)] = [:]
    }

    let root: String
    fileprivate let state = Mutex(State())
    fileprivate let real = SystemJournalFiles()

    init() {
        let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(parent)/martlet-fleet-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "mkdtemp: errno \(errno)")
        self.root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { self.clear() }

    /// Removes everything. For a test whose objects hold each other, so that none is ever freed.
    func clear() { self.remove(self.root) }

    private func remove(_ directory: String) {
        for name in (try? self.real.names(in: directory)) ?? [] {
            if unlink(directory + "/" + name) != 0 { self.remove(directory + "/" + name) }
        }
        rmdir(directory)
    }

    /// The files as one process sees them.
    func seen(by owner: Int) -> SimulatedFiles { SimulatedFiles(disk: self, owner: owner) }

    /// A process died: its locks are free.
    func release(_ owner: Int) {
        self.state.withLock { state in state.locks = state.locks.filter { $0.value.owner != owner } }
    }

    /// Whether nobody holds the lock of a journal.
    func isFree(_ directory: String) -> Bool {
        self.state.withLock { $0.locks[directory + "/" + JournalFormat.lockName] == nil }
    }

    /// The machine died: what was not synced is gone. New files, so that whoever had the old ones mapped keeps those.
    func loseUnsynced(below directory: String) throws {
        for name in try self.real.names(in: directory) {
            let path = directory + "/" + name
            let synced = self.state.withLock { $0.synced[path] }
            try self.real.remove(path)
            if let synced { try self.real.replace(path, with: synced) }
        }
    }
}

/// The disk as one process sees it.
struct SimulatedFiles: JournalFiles {
    let disk: SimulatedDisk
    let owner: Int

    private var real: SystemJournalFiles { self.disk.real }

    private func keep(_ path: String) throws(FileFailure) {
        let content = try self.real.read(path)
        self.disk.state.withLock { $0.synced[path] = content }
    }

    func createDirectory(_ path: String) throws(FileFailure) { try self.real.createDirectory(path) }
    func names(in directory: String) throws(FileFailure) -> [String] { try self.real.names(in: directory).sorted() }
    func read(_ path: String) throws(FileFailure) -> [UInt8]? { try self.real.read(path) }
    func replace(_ path: String, with content: [UInt8]) throws(FileFailure) {
        try self.real.replace(path, with: content)
        try self.keep(path)
    }
    func open(_ path: String, create: Bool) throws(FileFailure) -> Int32 {
        let descriptor = try self.real.open(path, create: create)
        self.disk.state.withLock { $0.paths[descriptor] = (path, self.owner) }
        return descriptor
    }
    func close(_ descriptor: Int32) {
        self.disk.state.withLock { state in
            guard let (path, owner) = state.paths.removeValue(forKey: descriptor) else { return }
            if let lock = state.locks[path], lock == (owner, descriptor) { state.locks[path] = nil }
        }
        self.real.close(descriptor)
    }
    func size(_ descriptor: Int32, path: String) throws(FileFailure) -> Int {
        try self.real.size(descriptor, path: path)
    }
    func allocate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) {
        try self.real.allocate(descriptor, count: count, path: path)
    }
    func map(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) -> UnsafeMutableRawPointer {
        try self.real.map(descriptor, count: count, path: path)
    }
    func unmap(_ base: UnsafeMutableRawPointer, count: Int) { self.real.unmap(base, count: count) }
    func truncate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) {
        try self.real.truncate(descriptor, count: count, path: path)
    }
    func syncData(_ descriptor: Int32, path: String) throws(FileFailure) { try self.keep(path) }
    func syncDirectory(_ path: String) throws(FileFailure) {}
    func rename(_ path: String, to name: String) throws(FileFailure) {
        try self.real.rename(path, to: name)
        self.disk.state.withLock { state in
            for (old, content) in state.synced where old == path || old.hasPrefix(path + "/") {
                state.synced[old] = nil
                state.synced[name + old.dropFirst(path.count)] = content
            }
        }
    }
    func remove(_ path: String) throws(FileFailure) {
        try self.real.remove(path)
        self.disk.state.withLock { $0.synced[path] = nil }
    }
    func lock(_ descriptor: Int32, path: String) throws(FileFailure) -> Bool {
        self.disk.state.withLock { state in
            if let lock = state.locks[path], lock != (self.owner, descriptor) { return false }
            state.locks[path] = (self.owner, descriptor)
            return true
        }
    }
}
