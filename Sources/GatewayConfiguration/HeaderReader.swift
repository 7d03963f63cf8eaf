/// Reads and checks headers that are added to calls (RFC 9110, section 5).
struct HeaderReader {
    static let headersMax = 64
    static let valueBytesMax = 8192
    /// The data plane sets these itself; a second one would change how the message is framed or where it goes.
    private static let reserved: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te",
        "trailer", "expect",
        "proxy-connection", "content-type", "accept-encoding",
    ]

    let keyPath: String

    func headers(
        of parameters: ConfigurationNode, into diagnostics: inout DiagnosticCollector
    ) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        for key in ["headers", "extra_headers"] {
            for entry in parameters[key]?.mapping ?? [] where !entry.value.isNull {
                let path = KeyPathText.appending(entry.key, to: "\(self.keyPath).\(key)")
                guard let fault = Self.fault(of: entry) else {
                    let name = entry.key.lowercased()
                    result.removeAll { $0.name.lowercased() == name }
                    result.append((name: entry.key, value: entry.value.scalar?.text ?? ""))
                    continue
                }
                diagnostics.error(entry.keyPosition, path, "\(key): \(fault.0)", mend: fault.1)
            }
        }
        if result.count > Self.headersMax {
            diagnostics.error(
                parameters.position, "\(self.keyPath).extra_headers",
                "more than \(Self.headersMax) headers",
                mend: "send fewer")
        }
        return result
    }

    private static func fault(of entry: ConfigurationEntry) -> (String, String)? {
        guard self.isName(entry.key) else {
            return (
                "the name of a header holds a character that is not allowed there",
                "use letters, digits and -"
            )
        }
        guard !self.reserved.contains(entry.key.lowercased()) else {
            return ("the header \(entry.key.lowercased()) is set by the gateway itself", "remove it")
        }
        guard let value = entry.value.scalar?.text else {
            return ("the value of a header is \(entry.value.kindName)", "write text")
        }
        guard self.isValue(value) else {
            return (
                "the value of a header is empty, too long, or holds a line break or control character",
                "remove that"
            )
        }
        return nil
    }

    /// `token` of RFC 9110, section 5.6.2.
    static func isName(_ name: String) -> Bool {
        let punctuation = "!#$%&'*+-.^_`|~".utf8
        return !name.isEmpty && name.utf8.count <= 128
            && name.utf8.allSatisfy { byte in
                (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
                    || ((byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z"))
                    || punctuation.contains(byte)
            }
    }

    /// `field-value` of RFC 9110, section 5.5, not empty and without blanks at its ends.
    static func isValue(_ value: String) -> Bool {
        guard let first = value.utf8.first, let last = value.utf8.last,
            value.utf8.count <= self.valueBytesMax
        else {
            return false
        }
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        return !isBlank(first) && !isBlank(last)
            && value.utf8.allSatisfy { $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }
    }
}
