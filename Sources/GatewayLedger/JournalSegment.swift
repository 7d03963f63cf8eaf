import GatewayCore
import Glibc
import Synchronization

/// One mapped segment file.
///
/// `@unchecked Sendable`, because: the mutable properties are read and written only by `JournalWriter`, which its
/// journal keeps under one lock (and, before the journal exists, by the one thread that opens it). Bytes of the mapping
/// below the writer's position never change once written; readers learn that position under the lock and read only
/// below it.
final class JournalSegment: @unchecked Sendable {
    /// 0 until the segment becomes part of the journal.
    private(set) var serial: UInt64
    private(set) var path: String
    let base: UnsafeMutableRawPointer
    /// Size of the mapping and of the file, bytes.
    let capacity: Int
    private(set) var seed: UInt32
    /// Distinguishes this segment from every other one in this process, for `journalSlot`; never 0.
    let slotSerial: UInt32

    /// Sequence number that the first settlement in it has or would have.
    var firstSequence: Int64 = 0
    /// Sequence number of the last settlement in it; `firstSequence - 1`: none.
    var lastSequence: Int64 = 0
    /// Bytes that hold records.
    var used = 0
    /// Intents in it that have no settlement yet and were not carried on.
    var openIntents = 0
    var payers: UInt32 = 0
    var routes: UInt32 = 0
    /// `false`: bytes have been written that no sync has covered.
    var isSynced = false

    private let descriptor: Int32
    private let files: any JournalFiles
    private static let slotSerials = Atomic<UInt32>(0)

    /// Maps an open file; takes over the descriptor, also when it throws.
    private init(path: String, descriptor: Int32, capacity: Int, files: any JournalFiles) throws(FileFailure) {
        do throws(FileFailure) {
            self.base = try files.map(descriptor, count: capacity, path: path)
        } catch {
            files.close(descriptor)
            throw error
        }
        self.serial = 0
        self.seed = 0
        self.path = path
        self.capacity = capacity
        self.slotSerial = Self.slotSerials.add(1, ordering: .relaxed).newValue
        self.descriptor = descriptor
        self.files = files
    }

    deinit {
        self.files.unmap(self.base, count: self.capacity)
        self.files.close(self.descriptor)
    }

    /// Creates a spare: a file of zeros whose bytes are really on the disk. Leaves none behind if it cannot.
    static func createSpare(
        directory: String, number: Int, capacity: Int, files: any JournalFiles
    ) throws(FileFailure) -> JournalSegment {
        let path = directory + "/\(number)" + JournalFormat.spareSuffix
        do throws(FileFailure) {
            let descriptor = try files.open(path, create: true)
            do throws(FileFailure) {
                try files.allocate(descriptor, count: capacity, path: path)
            } catch {
                files.close(descriptor)
                throw error
            }
            return try JournalSegment(path: path, descriptor: descriptor, capacity: capacity, files: files)
        } catch {
            // The first failure is what the caller must hear; a spare left behind is removed at the next open.
            try? files.remove(path)
            throw error
        }
    }

    /// Opens a segment file that is there. `nil`: it is empty.
    static func openExisting(
        directory: String, journalID: JournalID, serial: UInt64, files: any JournalFiles
    ) throws(FileFailure) -> JournalSegment? {
        let path = directory + "/" + JournalFormat.segmentName(serial)
        let descriptor = try files.open(path, create: false)
        let capacity: Int
        do throws(FileFailure) {
            capacity = try files.size(descriptor, path: path)
        } catch {
            files.close(descriptor)
            throw error
        }
        guard capacity > 0 else {
            files.close(descriptor)
            return nil
        }
        let segment = try JournalSegment(path: path, descriptor: descriptor, capacity: capacity, files: files)
        segment.serial = serial
        segment.seed = JournalFormat.seed(journalID: journalID, serial: serial)
        return segment
    }

    /// Makes a spare part of the journal: gives it its name and serial and writes its header.
    func activate(directory: String, journalID: JournalID, serial: UInt64, firstSequence: Int64) throws(FileFailure) {
        let name = directory + "/" + JournalFormat.segmentName(serial)
        try self.files.rename(self.path, to: name)
        self.path = name
        self.serial = serial
        self.seed = JournalFormat.seed(journalID: journalID, serial: serial)
        self.firstSequence = firstSequence
        self.lastSequence = firstSequence - 1
        self.used = JournalFormat.writeHeader(
            at: self.base, journalID: journalID, serial: serial, firstSequence: firstSequence)
    }

    /// The first `count` bytes. Valid while the segment is.
    func bytes(count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.base, count: min(count, self.capacity))
    }

    func sync() throws(FileFailure) { try self.files.syncData(self.descriptor, path: self.path) }

    /// Shortens the file to the pages that hold `used` bytes; the mapping behind them is not touched any more.
    func shrink() throws(FileFailure) {
        let pages = (self.used + pageBytes - 1) / pageBytes * pageBytes
        if pages < self.capacity { try self.files.truncate(self.descriptor, count: pages, path: self.path) }
    }

    /// Lets go of the memory of pages below `offset`; their content stays in the file and comes back when it is read.
    func releaseMemory(below offset: Int) {
        let count = offset / pageBytes * pageBytes
        if count > 0 { madvise(self.base, count, MADV_DONTNEED) }
    }

    /// Writes every page below `used` anew with what it holds, from the page of `offset`: after a failed sync the
    /// kernel takes pages for clean that never reached the disk.
    func touchPages(from offset: Int) {
        var place = offset / pageBytes * pageBytes
        while place < self.used {
            let byte = self.base.load(fromByteOffset: place, as: UInt8.self)
            self.base.storeBytes(of: byte, toByteOffset: place, as: UInt8.self)
            orderStores()
            place += pageBytes
        }
    }
}

private let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
