/// The address of a server that gives credentials, in parts. Pure.
package struct CredentialURL: Sendable, Hashable {
    package let isTLS: Bool
    /// Name or address, without brackets.
    package let host: String
    package let port: Int
    /// Path and query, as they stand in a request line.
    package let target: String

    /// `Host` of a request: without the port that is the scheme's own.
    package var hostHeader: String {
        let host = self.host.contains(":") ? "[\(self.host)]" : self.host
        return self.port == (self.isTLS ? 443 : 80) ? host : "\(host):\(self.port)"
    }

    /// `nil`: no such URL, or one without TLS to a host that is not this machine or the one its cloud gives
    /// credentials by: what is sent there is a secret.
    package init?(_ text: String) {
        guard text.utf8.count <= Self.bytesMax, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x5C }),
            let mark = text.firstRange(of: "://")
        else { return nil }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard scheme == "https" || scheme == "http" else { return nil }
        self.isTLS = scheme == "https"
        let rest = text[mark.upperBound...]
        guard !rest.contains("#") else { return nil }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        guard let (host, port) = Self.authority(rest[..<end], isTLS: self.isTLS) else { return nil }
        self.host = host
        self.port = port
        let target = rest[end...]
        self.target = target.hasPrefix("/") ? String(target) : "/" + target
        // Not every name that begins so is an address.
        let isLoopback = host.hasPrefix("127.") && host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) }
        guard self.isTLS || isLoopback || Self.plainHosts.contains(host) else { return nil }
    }

    private static let bytesMax = 2048
    /// This machine; the metadata services of AWS and Google; those of AWS' containers.
    private static let plainHosts: Set<String> = [
        "localhost", "::1", "169.254.169.254", "fd00:ec2::254", "metadata.google.internal", "169.254.170.2",
        "169.254.170.23", "fd00:ec2::23",
    ]

    private static func authority(_ text: Substring, isTLS: Bool) -> (host: String, port: Int)? {
        guard !text.contains("@") else { return nil }
        var host = text
        var port: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<close]
            let after = text[text.index(after: close)...]
            guard after.isEmpty || after.hasPrefix(":") else { return nil }
            port = after.isEmpty ? nil : after.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 != 0x2F && $0 != 0x5B && $0 != 0x5D }) else { return nil }
        guard let port else { return (host.lowercased(), isTLS ? 443 : 80) }
        guard let number = Int(port), (1...65535).contains(number) else { return nil }
        return (host.lowercased(), number)
    }
}
