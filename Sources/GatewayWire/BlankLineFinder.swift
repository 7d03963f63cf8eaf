/// Finds the blank line that ends a server-sent event, in bytes that come in pieces. Lines end with CR, LF or CR LF
/// (WHATWG HTML, section 9.2.5).
struct BlankLineFinder: Sendable {
    private var isLineEmpty = true
    /// The last byte was a CR that ended a line; a LF that follows belongs to it.
    private var isAfterReturn = false
    /// The blank line itself ended with a CR at the end of a piece; a LF that follows belongs to it.
    private(set) var mayLineFeedFollow = false

    /// The offset behind the blank line. `nil`: none yet; the next call goes on with the bytes behind `end`.
    @inline(__always)
    mutating func find(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int? {
        var position = start
        while position < end {
            let byte = ByteScan.byte(base, position)
            if self.isAfterReturn {
                self.isAfterReturn = false
                if byte == 0x0A {
                    position &+= 1
                    continue
                }
            }
            if byte != 0x0A, byte != 0x0D {
                self.isLineEmpty = false
                position = ByteScan.lineEnd(base, position, end)
                continue
            }
            position &+= 1
            if self.isLineEmpty {
                guard byte == 0x0D else { return position }
                if position < end { return ByteScan.byte(base, position) == 0x0A ? position &+ 1 : position }
                self.mayLineFeedFollow = true
                return position
            }
            self.isLineEmpty = true
            self.isAfterReturn = byte == 0x0D
        }
        return nil
    }
}
