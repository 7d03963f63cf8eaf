import GatewayCore
import GatewayWire
import NIOCore

/// What becomes of a caller's connection after an answer that is made here, and how the caller is told.
enum Persistence {
    case close
    /// The rule of HTTP/1.1, which goes without saying.
    case keep
    /// HTTP/1.0, where a caller that asked for it has to be told (RFC 9112, appendix C.2.2).
    case keepAnnounced

    init(keepsAlive: Bool, isHTTP11: Bool) {
        self = !keepsAlive ? .close : isHTTP11 ? .keep : .keepAnnounced
    }

    var headerLine: StaticString {
        switch self {
        case .close: "connection: close\r\n"
        case .keep: ""
        case .keepAnnounced: "connection: keep-alive\r\n"
        }
    }
}

/// Answers with an error of the gateway's own, in the shape that the caller's format has.
enum ErrorAnswer {
    static func bytes(
        _ error: GatewayError, persistence: Persistence, isHead: Bool = false, requestID: RequestID?, attempts: Int,
        dateLine: [UInt8], extraLines: [UInt8] = [], format: WireFormat
    ) -> ByteBuffer {
        let body = error.body(as: format)
        let extraLines = extraLines + error.headerLines(as: format)
        var out = ByteBufferAllocator().buffer(capacity: body.count + 448 + extraLines.count)
        out.write(capacity: 384 + extraLines.count) { writer in
            writer.append(statusLine: error.status)
            writer.append("content-type: application/json\r\ncontent-length: ")
            writer.append(decimal: Int64(body.count))
            writer.append("\r\n")
            writer.append(dateLine)
            if let requestID {
                writer.append("x-litellm-call-id: ")
                writer.append(requestID)
                writer.append("\r\n")
            }
            if attempts > 0 {
                writer.append("x-litellm-attempted-retries: ")
                writer.append(decimal: Int64(attempts))
                writer.append("\r\n")
            }
            if let seconds = error.retryAfterSeconds {
                writer.append("retry-after: ")
                writer.append(decimal: Int64(seconds))
                writer.append("\r\n")
            }
            writer.append(extraLines)
            writer.append(persistence.headerLine)
            writer.append("\r\n")
        }
        if !isHead { out.writeBytes(body) }
        return out
    }
}

/// The control plane's answers on the wire.
enum ControlAnswer {
    static func bytes(
        _ response: ControlResponse, persistence: Persistence, isHead: Bool, dateLine: [UInt8]
    ) -> ByteBuffer {
        var out = ByteBufferAllocator().buffer(capacity: response.body.count + 512)
        out.write(capacity: 64) { $0.append(statusLine: response.status) }
        // These have no body, whatever their headers say (RFC 9112, section 6.3).
        let hasNoBody = response.status == 204 || response.status == 304
        if !hasNoBody {
            out.writeString(
                "content-type: \(headerSafe(response.contentType))\r\ncontent-length: \(response.body.count)\r\n")
        }
        out.writeBytes(dateLine)
        // A header with a line end in it would be a second header: it is left out.
        for header in response.headers where isToken(header.name) && isFieldSafe(header.value) {
            out.writeString("\(header.name): \(header.value)\r\n")
        }
        out.writeStaticString(persistence.headerLine)
        out.writeStaticString("\r\n")
        if !isHead, !hasNoBody { out.writeBytes(response.body) }
        return out
    }

    /// RFC 9110, section 5.6.2.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    private static func isFieldSafe(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
