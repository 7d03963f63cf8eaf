import Glibc

/// Standard output in large pieces.
struct StandardOutput: ~Copyable {
    private var pending: [UInt8] = []

    init() {}

    mutating func line(_ text: String) {
        self.pending.append(contentsOf: text.utf8)
        if self.pending.last != UInt8(ascii: "\n") { self.pending.append(UInt8(ascii: "\n")) }
        if self.pending.count > 64 << 10 { self.flush() }
    }

    mutating func flush() {
        writeAll(self.pending, to: STDOUT_FILENO)
        self.pending.removeAll(keepingCapacity: true)
    }
}

enum StandardError {
    static func write(_ text: String) { writeAll(Array((text + "\n").utf8), to: STDERR_FILENO) }
}

private func writeAll(_ bytes: [UInt8], to descriptor: CInt) {
    var offset = 0
    while offset < bytes.count {
        let count = bytes[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        // A reader that has gone (`| head`) wants no more.
        guard count > 0 else { return }
        offset += count
    }
}
