import Glibc

/// Reads the files of a configuration. Injected, so that tests need no disk.
package protocol ConfigurationReader: Sendable {
    /// The whole file.
    /// - Throws: when it is missing, unreadable, not a regular file, or longer than `bytesMax`.
    func read(path: String, bytesMax: Int) throws(ConfigurationReadError) -> [UInt8]
}

package enum ConfigurationReadError: Error, Sendable, Hashable {
    /// `errno` of the call that failed.
    case system(Int32)
    case notAFile
    case tooLong(bytesMax: Int)

    package var text: String {
        switch self {
        case .system(let number): String(cString: strerror(number))
        case .notAFile: "it is not a file"
        case .tooLong(let bytesMax): "it is longer than \(bytesMax) bytes"
        }
    }
}

/// Reads from the file system.
package struct SystemConfigurationReader: ConfigurationReader {
    package init() {}

    package func read(path: String, bytesMax: Int) throws(ConfigurationReadError) -> [UInt8] {
        // Non-blocking, so that a named pipe without a writer cannot hang the start.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(errno) }
        defer { _ = close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
        var content: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &block, block.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .system(errno) }
            if count == 0 { return content }
            guard content.count + count <= bytesMax else { throw .tooLong(bytesMax: bytesMax) }
            content += block[..<count]
        }
    }
}
