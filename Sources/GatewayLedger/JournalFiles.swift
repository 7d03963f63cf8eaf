import CMartlet
import Glibc

/// A call to the operating system that failed.
package struct FileFailure: Error, Equatable {
    /// What was tried, such as `allocate`.
    package var operation: String
    package var path: String
    /// The system's `errno`.
    package var code: Int32

    package init(operation: String, path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    package var isDiskFull: Bool { self.code == ENOSPC || self.code == EDQUOT || self.code == EFBIG }

    package var message: String {
        "cannot \(self.operation) \(self.path): \(String(cString: strerror(self.code))) (errno \(self.code))"
    }

    /// A full disk is a full journal; anything else may pass.
    package var ledgerError: LedgerError {
        self.isDiskFull
            ? .journalFull("\(self.message); free space on this disk or move the data directory to a larger one")
            : .unavailable("\(self.message); check the disk and the directory's permissions")
    }
}

/// Everything the journal asks of the file system, so that tests can make each call fail in turn.
package protocol JournalFiles: Sendable {
    /// Creates the directory and its parents; fine if it exists.
    func createDirectory(_ path: String) throws(FileFailure)
    /// Names in a directory, in no order.
    func names(in directory: String) throws(FileFailure) -> [String]
    /// A whole file. `nil`: there is none.
    func read(_ path: String) throws(FileFailure) -> [UInt8]?
    /// Creates or replaces a small file so that after a crash the old or the new content stands, never a mixture.
    func replace(_ path: String, with content: [UInt8]) throws(FileFailure)
    /// Opens for reading and writing, optionally creating it first; returns a descriptor.
    func open(_ path: String, create: Bool) throws(FileFailure) -> Int32
    func close(_ descriptor: Int32)
    /// Size in bytes.
    func size(_ descriptor: Int32, path: String) throws(FileFailure) -> Int
    /// Gives the file `count` bytes that are really on the disk, so that a store to a mapping never meets a full disk.
    func allocate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure)
    /// Maps the whole file, shared, for reading and writing.
    func map(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) -> UnsafeMutableRawPointer
    func unmap(_ base: UnsafeMutableRawPointer, count: Int)
    func truncate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure)
    /// Waits until the file's content is on the disk.
    func syncData(_ descriptor: Int32, path: String) throws(FileFailure)
    /// Waits until names created in or removed from the directory are on the disk.
    func syncDirectory(_ path: String) throws(FileFailure)
    /// Renames a file, replacing one of the new name.
    func rename(_ path: String, to name: String) throws(FileFailure)
    /// Removes a file; fine if there is none.
    func remove(_ path: String) throws(FileFailure)
    /// Takes the lock of an open file without waiting. `false`: another holder has it, or the file is not the one at
    /// `path` any more, so that its lock would mean nothing to those who come by the path.
    func lock(_ descriptor: Int32, path: String) throws(FileFailure) -> Bool
}

/// The real file system.
package struct SystemJournalFiles: JournalFiles {
    package init() {}

    package func createDirectory(_ path: String) throws(FileFailure) {
        for end in path.indices.dropFirst() where path[end] == "/" {
            _ = mkdir(String(path[..<end]), 0o700)
        }
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw FileFailure(operation: "create directory", path: path, code: errno)
        }
    }

    package func names(in directory: String) throws(FileFailure) -> [String] {
        guard let stream = opendir(directory) else {
            throw FileFailure(operation: "list", path: directory, code: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw FileFailure(operation: "list", path: directory, code: errno) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    package func read(_ path: String) throws(FileFailure) -> [UInt8]? {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 {
            if errno == ENOENT { return nil }
            throw FileFailure(operation: "open", path: path, code: errno)
        }
        defer { _ = Glibc.close(descriptor) }
        let count = try self.size(descriptor, path: path)
        var failure: Int32 = 0
        let content = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = Glibc.read(descriptor, buffer.baseAddress.map { $0 + filled }, count - filled)
                if got > 0 {
                    filled += got
                } else if got == 0 {
                    break
                } else if errno != EINTR {
                    failure = errno
                    break
                }
            }
        }
        if failure != 0 { throw FileFailure(operation: "read", path: path, code: failure) }
        return content
    }

    package func replace(_ path: String, with content: [UInt8]) throws(FileFailure) {
        let temporary = path + ".new"
        let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileFailure(operation: "create", path: temporary, code: errno) }
        defer { _ = Glibc.close(descriptor) }
        var written = 0
        while written < content.count {
            let count = content.withUnsafeBytes { bytes in
                Glibc.write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileFailure(operation: "write", path: temporary, code: errno)
            }
            written += count
        }
        try self.syncData(descriptor, path: temporary)
        try self.rename(temporary, to: path)
    }

    package func open(_ path: String, create: Bool) throws(FileFailure) -> Int32 {
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0o600)
        guard descriptor >= 0 else { throw FileFailure(operation: "open", path: path, code: errno) }
        return descriptor
    }

    package func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

    package func size(_ descriptor: Int32, path: String) throws(FileFailure) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FileFailure(operation: "read the size of", path: path, code: errno)
        }
        return Int(status.st_size)
    }

    package func allocate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) {
        var code = EINTR
        while code == EINTR { code = cmartlet_allocate(descriptor, 0, Int64(count)) }
        if code != 0 { throw FileFailure(operation: "allocate \(count) bytes for", path: path, code: code) }
    }

    package func map(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) -> UnsafeMutableRawPointer {
        let base = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let base, base != MAP_FAILED else { throw FileFailure(operation: "map", path: path, code: errno) }
        return base
    }

    package func unmap(_ base: UnsafeMutableRawPointer, count: Int) { munmap(base, count) }

    package func truncate(_ descriptor: Int32, count: Int, path: String) throws(FileFailure) {
        guard ftruncate(descriptor, off_t(count)) == 0 else {
            throw FileFailure(operation: "truncate", path: path, code: errno)
        }
    }

    package func syncData(_ descriptor: Int32, path: String) throws(FileFailure) {
        let code = cmartlet_sync_data(descriptor)
        if code != 0 { throw FileFailure(operation: "sync", path: path, code: code) }
    }

    package func syncDirectory(_ path: String) throws(FileFailure) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFailure(operation: "open", path: path, code: errno) }
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileFailure(operation: "sync", path: path, code: errno) }
    }

    package func rename(_ path: String, to name: String) throws(FileFailure) {
        guard Glibc.rename(path, name) == 0 else {
            throw FileFailure(operation: "rename", path: path, code: errno)
        }
    }

    package func remove(_ path: String) throws(FileFailure) {
        if unlink(path) != 0, errno != ENOENT { throw FileFailure(operation: "remove", path: path, code: errno) }
    }

    package func lock(_ descriptor: Int32, path: String) throws(FileFailure) -> Bool {
        let code = cmartlet_lock_exclusively(descriptor)
        if code == 0 {
            var (held, standing) = (stat(), stat())
            guard fstat(descriptor, &held) == 0 else {
                throw FileFailure(operation: "lock", path: path, code: errno)
            }
            return stat(path, &standing) == 0 && held.st_ino == standing.st_ino && held.st_dev == standing.st_dev
        }
        if code == EWOULDBLOCK { return false }
        throw FileFailure(operation: "lock", path: path, code: code)
    }
}
