import Foundation
import GatewayLedger
import Synchronization

/// The real file system until it breaks; from then on nothing can be synced to it.
final class BrokenDisk: JournalFiles {
    private let real = SystemJournalFiles()
    private let isBroken = Atomic<Bool>(false)

    func breakDown() { self.isBroken.store(true, ordering: .releasing) }

    func syncData(_ descriptor: Int32, path: String) throws(FileFailure) {
        if self.isBroken.load(ordering: .acquiring) { throw FileFailure(operation: "sync", path: path, code: EIO) }
        try self.real.syncData(descriptor, path: path)
    }

    func createDirectory(_ path: String) throws(FileFailure) { try self.real.createDirectory(path) }
    func names(in directory: String) throws(FileFailure) -> [String] { try self.real.names(in: directory) }
    func read(_ path: String) throws(FileFailure) -> [UInt8]? { try self.real.read(path) }
    func replace(_ path: String, with content: [UInt8]) throws(FileFailure) {
        try self.real.replace(path, with: content)
    }
    func open(_ path: String, create: Bool) throws(FileFailure) -> Int32 {
        try self.real.open(path, create: create)
    }
    func close(_ descriptor: Int32) { self.real.close(descriptor) }
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
    func syncDirectory(_ path: String) throws(FileFailure) { try self.real.syncDirectory(path) }
    func rename(_ path: String, to name: String) throws(FileFailure) { try self.real.rename(path, to: name) }
    func remove(_ path: String) throws(FileFailure) { try self.real.remove(path) }
    func lock(_ descriptor: Int32, path: String) throws(FileFailure) -> Bool {
        try self.real.lock(descriptor, path: path)
    }
}
