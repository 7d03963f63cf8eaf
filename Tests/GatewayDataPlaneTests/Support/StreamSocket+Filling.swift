import Foundation
import TestSupport

extension StreamSocket {
    /// Writes `bytes` again and again, from offset `from` in the first round, until the peer takes no more for
    /// `patience` milliseconds, which a build with a sanitizer stretches.
    /// - Returns: bytes written.
    func writeAsMuchAsFits(_ bytes: [UInt8], from: Int = 0, bytesMax: Int, patience: Int32 = 300) -> Int {
        var sent = 0
        var position = from
        while sent < bytesMax {
            let count = bytes.withUnsafeBytes {
                send(self.descriptor, $0.baseAddress! + position, bytes.count - position, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
                position = (position + count) % bytes.count
                continue
            }
            var entry = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
            guard errno == EAGAIN, poll(&entry, 1, patience * Int32(Deadline.slowness)) > 0 else { return sent }
        }
        return sent
    }
}
