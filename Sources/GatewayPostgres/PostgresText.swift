/// Text as the database holds it. PostgreSQL's text cannot hold U+0000, which callers may well send in a name, so it is
/// stored as U+0001 followed by `0`, and U+0001 itself as U+0001 followed by `1`; all other text is stored as it is.
enum PostgresText {
    static func append(_ text: String, to bytes: inout [UInt8]) {
        var text = text
        text.withUTF8 { utf8 in
            guard utf8.contains(where: { $0 <= 1 }) else {
                bytes.append(contentsOf: utf8)
                return
            }
            for byte in utf8 {
                if byte > 1 {
                    bytes.append(byte)
                } else {
                    bytes.append(1)
                    bytes.append(UInt8(ascii: "0") + byte)
                }
            }
        }
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) -> String {
        guard bytes.contains(1) else { return String(decoding: bytes, as: UTF8.self) }
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == 1, index + 1 < bytes.count {
                plain.append(bytes[index + 1] &- UInt8(ascii: "0"))
                index += 2
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }
}
