import GatewayRouting

/// Parses the base URL of a provider (RFC 3986): http or https, a host, perhaps a port and a path, nothing else.
enum UpstreamURL {
    enum Fault: Error, Hashable {
        case scheme, userInfo, queryOrFragment, host, port, path, tooLong

        /// What is wrong; never repeats the URL, which may hold a password.
        var message: String {
            switch self {
            case .scheme: "the URL does not start with http:// or https://"
            case .userInfo: "the URL holds user information before an @"
            case .queryOrFragment: "the URL holds a query or a fragment"
            case .host: "the URL's host is not a name or an address"
            case .port: "the URL's port is not within 1...65535"
            case .path: "the URL's path holds a character that must be percent-encoded, or a `..` segment"
            case .tooLong: "the URL is longer than \(UpstreamURL.bytesMax) bytes"
            }
        }

        var mend: String {
            switch self {
            case .userInfo: "put the key under api_key"
            case .queryOrFragment: "cut it off at the `?` or `#`"
            default: "write such as https://api.example.com/v1"
            }
        }
    }

    static let bytesMax = 2048

    static func parse(_ text: String) throws(Fault) -> UpstreamAddress {
        guard text.utf8.count <= Self.bytesMax else { throw .tooLong }
        guard let colon = text.firstRange(of: "://") else { throw .scheme }
        let scheme = text[..<colon.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { throw .scheme }
        let rest = text[colon.upperBound...]
        guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else { throw .queryOrFragment }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = rest[..<slash]
        guard !authority.contains("@") else { throw .userInfo }
        let (host, port) = try Self.hostAndPort(authority, isTLS: scheme == "https")
        var path = rest[slash...]
        while path.hasSuffix("/") { path.removeLast() }
        guard Self.isPath(path) else { throw .path }
        return UpstreamAddress(isTLS: scheme == "https", host: host, port: port, basePath: String(path))
    }

    private static func hostAndPort(_ authority: Substring, isTLS: Bool) throws(Fault) -> (
        String, Int
    ) {
        var host = authority
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw .host }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let after = authority[authority.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else { throw .host }
            portText = after.isEmpty ? nil : after.dropFirst()
            guard Self.isIPv6(host) else { throw .host }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                portText = authority[authority.index(after: colon)...]
            }
            guard Self.isHostName(host) else { throw .host }
        }
        guard let portText, !portText.isEmpty else { return (host.lowercased(), isTLS ? 443 : 80) }
        guard portText.utf8.count <= 5, portText.utf8.allSatisfy(Self.isDigit),
            let port = Int(portText),
            (1...65_535).contains(port)
        else { throw .port }
        return (host.lowercased(), port)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
    }

    /// Labels of letters, digits, hyphens and (seen in container networks) underscores, RFC 1123 lengths. A name
    /// that ends in digits is an IPv4 address and must be a whole one.
    static func isHostName(_ host: Substring) -> Bool {
        let name = host.hasSuffix(".") ? host.dropLast() : host
        guard !name.isEmpty, name.utf8.count <= 253 else { return false }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        for label in labels {
            guard !label.isEmpty, label.utf8.count <= 63, !label.hasPrefix("-"), !label.hasSuffix("-")
            else {
                return false
            }
            guard
                label.utf8.allSatisfy({ Self.isDigit($0) || Self.isLetter($0) || "-_".utf8.contains($0) })
            else {
                return false
            }
        }
        guard let last = labels.last, last.utf8.allSatisfy(Self.isDigit) else { return true }
        return labels.count == 4
            && labels.allSatisfy { label in Int(label).map { (0...255).contains($0) } ?? false }
    }

    private static func isIPv6(_ host: Substring) -> Bool {
        guard host.utf8.count >= 2, host.utf8.count <= 45, host.contains(":"), !host.contains(":::")
        else {
            return false
        }
        let doubles = host.ranges(of: "::").count
        let groups = host.split(separator: ":")
        guard doubles <= 1, doubles == 1 ? groups.count <= 7 : groups.count == 8 || host.contains(".")
        else {
            return false
        }
        for (index, group) in groups.enumerated() {
            if group.contains(".") {
                guard index == groups.count - 1, Self.isHostName(group) else { return false }
            } else {
                guard group.utf8.count <= 4, group.allSatisfy(\.isHexDigit) else { return false }
            }
        }
        return true
    }

    /// `pchar` and `/` of RFC 3986, section 3.3, without dot segments.
    private static func isPath(_ path: Substring) -> Bool {
        let punctuation = "-._~!$&'()*+,;=:@/%".utf8
        guard
            path.utf8.allSatisfy({ Self.isDigit($0) || Self.isLetter($0) || punctuation.contains($0) })
        else {
            return false
        }
        return !path.split(separator: "/").contains { $0 == "." || $0 == ".." }
    }
}
