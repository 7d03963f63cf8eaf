import CMartlet

/// Searches of raw bytes, 16 at a time. They never read at or behind `end`.
///
/// A comparison of 16 bytes gives 16 lanes of 0x00 or 0xFF, of which the first that is set is the hit.
enum ByteScan {
    typealias Lanes = SIMD16<UInt8>

    /// Index 0...15 of the first lane that is set; -1: none.
    @inline(__always)
    static func firstLane(_ mask: SIMDMask<SIMD16<Int8>>) -> Int {
        cmartlet_first_lane(unsafeBitCast(mask, to: Lanes.self))
    }

    @inline(__always)
    private static func isAnySet(_ mask: SIMDMask<SIMD16<Int8>>) -> Bool {
        let words = unsafeBitCast(mask, to: SIMD2<UInt64>.self)
        return words[0] | words[1] != 0
    }

    @inline(__always)
    static func lanes(_ base: UnsafeRawPointer, _ position: Int) -> Lanes {
        base.loadUnaligned(fromByteOffset: position, as: Lanes.self)
    }

    @inline(__always)
    static func byte(_ base: UnsafeRawPointer, _ position: Int) -> UInt8 {
        base.load(fromByteOffset: position, as: UInt8.self)
    }

    /// First byte in `position ..< end` that ends a run of plain ASCII within a JSON string: quote, backslash, control
    /// character, or not ASCII. `end`: none.
    @inline(__always)
    static func stringStop(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        var longRun = 0
        while end &- position >= 16 {
            let hit = Self.firstLane(Self.strictStops(Self.lanes(base, position)))
            if hit >= 0 { return position &+ hit }
            position &+= 16
            longRun &+= 1
            if longRun == 4 { position = Self.skipPlain(base, position, end) }
        }
        while position < end {
            let byte = Self.byte(base, position)
            if Int8(bitPattern: byte) < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { break }
            position &+= 1
        }
        return position
    }

    /// Skips 64 bytes at a time while none of them stops a string; the caller finds the exact stop.
    private static func skipPlain(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while end &- position >= 64 {
            let stops =
                Self.strictStops(Self.lanes(base, position))
                .| Self.strictStops(Self.lanes(base, position &+ 16))
                .| Self.strictStops(Self.lanes(base, position &+ 32))
                .| Self.strictStops(Self.lanes(base, position &+ 48))
            if Self.isAnySet(stops) { break }
            position &+= 64
        }
        return position
    }

    /// Signed, a byte above 0x7F is below 0x20 too, so one comparison finds controls and non-ASCII.
    @inline(__always)
    private static func strictStops(_ lanes: Lanes) -> SIMDMask<SIMD16<Int8>> {
        (unsafeBitCast(lanes, to: SIMD16<Int8>.self) .< SIMD16(repeating: 0x20))
            .| (lanes .== Lanes(repeating: UInt8(ascii: "\"")))
            .| (lanes .== Lanes(repeating: UInt8(ascii: "\\")))
    }

    /// First quote, backslash or control character; bytes above 0x7F pass.
    @inline(__always)
    static func quoteOrEscape(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while end &- position >= 16 {
            let lanes = Self.lanes(base, position)
            let hit = Self.firstLane(
                (lanes .< Lanes(repeating: 0x20)) .| (lanes .== Lanes(repeating: UInt8(ascii: "\"")))
                    .| (lanes .== Lanes(repeating: UInt8(ascii: "\\"))))
            if hit >= 0 { return position &+ hit }
            position &+= 16
        }
        while position < end {
            let byte = Self.byte(base, position)
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { break }
            position &+= 1
        }
        return position
    }

    /// First quote, bracket or brace. With bit 5 set, `[` and `]` become `{` and `}`.
    @inline(__always)
    static func bracketOrQuote(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while end &- position >= 16 {
            let lanes = Self.lanes(base, position)
            let folded = lanes | Lanes(repeating: 0x20)
            let hit = Self.firstLane(
                (lanes .== Lanes(repeating: UInt8(ascii: "\"")))
                    .| (folded .== Lanes(repeating: UInt8(ascii: "{")))
                    .| (folded .== Lanes(repeating: UInt8(ascii: "}"))))
            if hit >= 0 { return position &+ hit }
            position &+= 16
        }
        while position < end {
            let byte = Self.byte(base, position)
            if byte == UInt8(ascii: "\"") || byte | 0x20 == UInt8(ascii: "{") || byte | 0x20 == UInt8(ascii: "}") {
                break
            }
            position &+= 1
        }
        return position
    }

    /// First CR or LF.
    @inline(__always)
    static func lineEnd(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while end &- position >= 16 {
            let lanes = Self.lanes(base, position)
            let hit = Self.firstLane((lanes .== Lanes(repeating: 0x0A)) .| (lanes .== Lanes(repeating: 0x0D)))
            if hit >= 0 { return position &+ hit }
            position &+= 16
        }
        while position < end {
            let byte = Self.byte(base, position)
            if byte == 0x0A || byte == 0x0D { break }
            position &+= 1
        }
        return position
    }

    /// First byte that is no letter, digit or hyphen, the usual bytes of header names. Less than 16 bytes before `end`
    /// it stops at once: it only skips what need not be looked at one by one.
    @inline(__always)
    static func skipName(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while end &- position >= 16 {
            let lanes = Self.lanes(base, position)
            let letters =
                ((lanes | Lanes(repeating: 0x20)) &- Lanes(repeating: UInt8(ascii: "a"))) .< Lanes(repeating: 26)
            let digits = (lanes &- Lanes(repeating: UInt8(ascii: "0"))) .< Lanes(repeating: 10)
            let hit = Self.firstLane(.!(letters .| digits .| (lanes .== Lanes(repeating: UInt8(ascii: "-")))))
            if hit >= 0 { return position &+ hit }
            position &+= 16
        }
        return position
    }

    /// First byte that cannot stand in a header value: a control character or DEL. HTAB stops too; the caller skips it.
    @inline(__always)
    static func control(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while end &- position >= 16 {
            let lanes = Self.lanes(base, position)
            let hit = Self.firstLane((lanes .< Lanes(repeating: 0x20)) .| (lanes .== Lanes(repeating: 0x7F)))
            if hit >= 0 { return position &+ hit }
            position &+= 16
        }
        while position < end {
            let byte = Self.byte(base, position)
            if byte < 0x20 || byte == 0x7F { break }
            position &+= 1
        }
        return position
    }

    /// First byte that cannot stand in a request target: space, control, DEL, not ASCII, or `#`.
    @inline(__always)
    static func targetStop(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Int {
        var position = start
        while end &- position >= 16 {
            let lanes = Self.lanes(base, position)
            let hit = Self.firstLane(
                (unsafeBitCast(lanes, to: SIMD16<Int8>.self) .< SIMD16(repeating: 0x21))
                    .| (lanes .== Lanes(repeating: 0x7F)) .| (lanes .== Lanes(repeating: UInt8(ascii: "#"))))
            if hit >= 0 { return position &+ hit }
            position &+= 16
        }
        while position < end {
            let byte = Self.byte(base, position)
            if Int8(bitPattern: byte) < 0x21 || byte == 0x7F || byte == UInt8(ascii: "#") { break }
            position &+= 1
        }
        return position
    }

    /// Whether `literal` stands at `position`; the caller has checked that enough bytes are there.
    @inline(__always)
    static func matches(_ base: UnsafeRawPointer, _ position: Int, _ literal: StaticString) -> Bool {
        Self.matches(base, position, literal, folding: 0)
    }

    /// The same with ASCII letters of either case; `literal` is in lower case. Exact for tokens and header values: the
    /// other bytes that fold together differ in a control character, which neither may hold.
    @inline(__always)
    static func matchesFolded(_ base: UnsafeRawPointer, _ position: Int, _ literal: StaticString) -> Bool {
        Self.matches(base, position, literal, folding: 0x2020_2020_2020_2020)
    }

    /// Compares by words that overlap at the end instead of byte by byte. `literal` has bit 5 set where `folding` has.
    @inline(__always)
    private static func matches(
        _ base: UnsafeRawPointer, _ position: Int, _ literal: StaticString, folding: UInt64
    ) -> Bool {
        let count = literal.utf8CodeUnitCount
        let expected = UnsafeRawPointer(literal.utf8Start)
        if count >= 8 {
            var offset = 0
            while true {
                let word = base.loadUnaligned(fromByteOffset: position &+ offset, as: UInt64.self)
                let wanted = expected.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                if word | folding != wanted | folding { return false }
                if offset &+ 8 == count { return true }
                offset = min(offset &+ 8, count &- 8)
            }
        }
        if count >= 4 {
            let narrow = UInt32(truncatingIfNeeded: folding)
            let head = base.loadUnaligned(fromByteOffset: position, as: UInt32.self)
            let tail = base.loadUnaligned(fromByteOffset: position &+ count &- 4, as: UInt32.self)
            return head | narrow == expected.loadUnaligned(as: UInt32.self) | narrow
                && tail | narrow == expected.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self) | narrow
        }
        let narrow = UInt8(truncatingIfNeeded: folding)
        for offset in 0..<count {
            let wanted = Self.byte(expected, offset)
            if Self.byte(base, position &+ offset) | narrow != wanted | narrow { return false }
        }
        return true
    }
}
