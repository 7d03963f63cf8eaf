import GatewayWire

/// Media types, data URIs and the short names that formats use for them.
enum MediaReference {
    /// Splits a data URI (RFC 2397) in base64; anything else is an address.
    static func read(_ url: JSONText, _ arena: JSONArena) -> (mediaType: JSONText?, source: MediaPart.Source) {
        guard url.slice.hasPrefix("data:") else { return (nil, .url(url)) }
        let plain = arena.canonical(url).slice
        guard let comma = plain.firstIndex(of: UInt8(ascii: ",")) else { return (nil, .url(url)) }
        let head = plain.prefix(comma).dropFirst(5)
        guard let marker = head.firstRange(of: ";base64") else { return (nil, .url(url)) }
        // Parameters such as a charset are not part of the media type that providers take.
        let type = head.prefix(min(marker, head.firstIndex(of: UInt8(ascii: ";")) ?? marker))
        return (type.isEmpty ? nil : JSONText(type), .data(JSONText(plain.dropFirst(comma + 1))))
    }

    /// What a media type is about. `nil`: a document or unknown.
    static func kind(_ mediaType: JSONText?) -> MediaPart.Kind {
        guard let type = mediaType?.slice else { return .document }
        if type.hasPrefix("image/") { return .image }
        if type.hasPrefix("audio/") { return .audio }
        if type.hasPrefix("video/") { return .video }
        return .document
    }

    /// `png` of `image/png`; `nil`: no slash.
    static func subtype(_ mediaType: JSONText) -> JSONText? {
        mediaType.slice.firstIndex(of: UInt8(ascii: "/")).map { JSONText(mediaType.slice.dropFirst($0 + 1)) }
    }

    /// Formats of documents as Bedrock names them.
    static let documentTypes: [(name: StaticString, mediaType: StaticString)] = [
        ("pdf", "application/pdf"), ("csv", "text/csv"), ("html", "text/html"), ("txt", "text/plain"),
        ("md", "text/markdown"), ("doc", "application/msword"), ("xls", "application/vnd.ms-excel"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ]

    static func documentName(_ mediaType: JSONText) -> StaticString? {
        self.documentTypes.first { mediaType == $0.mediaType }?.name
    }

    static func documentType(_ name: JSONText) -> JSONText? {
        self.documentTypes.first { name == $0.name }.map { JSONText($0.mediaType) }
    }

    /// `audio/wav` for OpenAI's `wav`.
    static func audioType(_ format: JSONText, _ arena: JSONArena) -> JSONText {
        if format == "mp3" { return JSONText("audio/mpeg") }
        return arena.joined([JSONText("audio/"), format])
    }

    /// OpenAI's `wav` or `mp3` for a media type.
    static func audioFormat(_ mediaType: JSONText?) -> JSONText? {
        guard let mediaType else { return nil }
        if mediaType == "audio/mpeg" || mediaType == "audio/mp3" { return JSONText("mp3") }
        if mediaType == "audio/wav" || mediaType == "audio/x-wav" || mediaType == "audio/wave" {
            return JSONText("wav")
        }
        return self.subtype(mediaType)
    }
}
