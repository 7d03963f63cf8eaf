import GatewayCore
import GatewayWire
import NIOCore

/// The heads of answers to calls.
enum AnswerHead {
    /// Room that the head of `call`'s answer needs at most.
    static func bytesMax(for call: Call) -> Int {
        // Each of the provider's header lines grows by its prefix of 13 bytes; a line has at least 4.
        1024 + call.rateLines.count + (call.target?.deployment.answerHeaders.count ?? 0)
            + call.answerHeadBytes.readableBytes * 4
    }

    /// - Parameter length: bytes of the body. `nil`: chunked, or until the connection ends on HTTP/1.0.
    static func write(to buffer: inout ByteBuffer, for call: Call, status: Int, length: Int64?) {
        buffer.write(capacity: Self.bytesMax(for: call)) { writer in
            writer.append(statusLine: status)
            call.answerHeadBytes.withUnsafeReadableBytes { bytes in
                writer.append("content-type: ")
                if let translation = call.translation, !translation.isStraight || call.answerHead.contentType.isEmpty {
                    writer.append(
                        translation.source.contentType(isStream: call.isStreaming, framing: translation.sourceFraming))
                } else if call.answerHead.contentType.isEmpty {
                    writer.append(call.answerIsEventStream ? "text/event-stream" : "application/json")
                } else {
                    writer.append(bytes[call.answerHead.contentType])
                }
            }
            writer.append("\r\n")
            if call.answerHead.hasNoBody {
                // A length is not allowed here (RFC 9110, section 8.6).
            } else if let length {
                writer.append("content-length: ")
                writer.append(decimal: length)
                writer.append("\r\n")
            } else if call.isHTTP11 {
                writer.append("transfer-encoding: chunked\r\n")
            }
            if !call.keepsAlive || (length == nil && !call.isHTTP11) {
                writer.append("connection: close\r\n")
            } else if !call.isHTTP11 {
                writer.append("connection: keep-alive\r\n")
            }
            writer.append(call.loop.dateLine)
            Self.appendCallHeaders(&writer, call)
            call.answerHeadBytes.withUnsafeReadableBytes { bytes in
                Self.appendProviderHeaders(
                    &writer, bytes: bytes, head: call.answerHead,
                    isTranslated: call.translation != nil && call.kind != .passThrough,
                    isPassed: call.kind == .passThrough)
            }
            writer.append("\r\n")
        }
    }

    private static func appendCallHeaders(_ writer: inout RawWriter, _ call: Call) {
        writer.append("x-litellm-call-id: ")
        writer.append(call.requestID)
        writer.append("\r\n")
        if let target = call.target { writer.append(target.deployment.answerHeaders) }
        if call.attempt > 0 {
            writer.append("x-litellm-attempted-retries: ")
            writer.append(decimal: Int64(call.attempt))
            writer.append("\r\n")
        }
        writer.append(call.rateLines)
        guard call.isSettled, call.settledAt > 0 else {
            // A stream's cost is not known yet; the key's spend is that before it.
            writer.append("x-litellm-key-spend: ")
            writer.append(dollars: call.key.spend.spend)
            writer.append("\r\n")
            return
        }
        writer.append("x-litellm-response-cost: ")
        writer.append(dollars: call.settledCost)
        writer.append("\r\nx-litellm-key-spend: ")
        writer.append(dollars: call.key.spend.spend)
        let total = Int64((call.settledAt &- call.receivedAt) / 1000)
        let upstream = Int64((call.settledAt &- call.attemptStartedAt) / 1000)
        writer.append("\r\nx-litellm-response-duration-ms: ")
        writer.append(thousandths: total)
        writer.append("\r\nx-litellm-overhead-duration-ms: ")
        writer.append(thousandths: total - upstream)
        writer.append("\r\n")
    }

    /// The provider's headers as `llm_provider-*`; values were verified when the head was parsed.
    private static func appendProviderHeaders(
        _ writer: inout RawWriter, bytes: UnsafeRawBufferPointer, head: ResponseHead, isTranslated: Bool,
        isPassed: Bool
    ) {
        guard head.headBytes > 0 else { return }
        var headers = HeaderIterator(bytes, headBytes: head.headBytes)
        while let (name, value) = headers.next() {
            switch Self.fate(bytes, name) {
            case .dropped: continue
            case .plain:
                // The body is not the provider's any more.
                if isTranslated, HeaderName.equals(bytes, name, "content-encoding") { continue }
            // Clients of the provider's own look for its headers.
            case .prefixed: if !isPassed { writer.append("llm_provider-") }
            }
            // A line as we would write it goes in one piece.
            if value.start == name.end + 2, Int(value.end) + 2 <= head.headBytes, bytes[Int(name.end) + 1] == 0x20,
                bytes[Int(value.end)] == 0x0D
            {
                writer.append(bytes[ByteRange(Int(name.start), Int(value.end) + 2)])
            } else {
                writer.append(bytes[name])
                writer.append(": ")
                writer.append(bytes[value])
                writer.append("\r\n")
            }
        }
    }

    private enum Fate { case dropped, plain, prefixed }

    /// Framing, connection and cookies stay between us and the provider.
    private static func fate(_ bytes: UnsafeRawBufferPointer, _ name: ByteRange) -> Fate {
        func equals(_ text: StaticString) -> Bool { HeaderName.equals(bytes, name, text) }
        switch name.count {
        case 2: return equals("te") ? .dropped : .prefixed
        case 4: return equals("date") ? .dropped : .prefixed
        case 6: return equals("server") ? .dropped : .prefixed
        case 7: return equals("upgrade") || equals("trailer") || equals("alt-svc") ? .dropped : .prefixed
        case 10: return equals("connection") || equals("keep-alive") || equals("set-cookie") ? .dropped : .prefixed
        case 11: return equals("retry-after") ? .plain : .prefixed
        case 12: return equals("content-type") ? .dropped : .prefixed
        case 14:
            return equals("content-length") || equals("retry-after-ms")
                ? (equals("content-length") ? .dropped : .plain) : .prefixed
        case 16:
            return equals("content-encoding")
                ? .plain : equals("proxy-connection") || equals("www-authenticate") ? .dropped : .prefixed
        case 17: return equals("transfer-encoding") ? .dropped : .prefixed
        default: return .prefixed
        }
    }
}

extension RawWriter {
    mutating func append(statusLine status: Int) {
        if status == 200 { return self.append("HTTP/1.1 200 OK\r\n") }
        self.append("HTTP/1.1 ")
        self.append(decimal: Int64(status))
        self.append(" ")
        self.append(reasonPhrase(status))
        self.append("\r\n")
    }

    mutating func append(chunkSize count: Int) {
        var digits: [UInt8] = []
        var rest = count
        repeat {
            digits.append(hexDigit(UInt8(truncatingIfNeeded: rest & 15)))
            rest >>= 4
        } while rest > 0
        self.append(digits.reversed())
        self.append("\r\n")
    }
}

func reasonPhrase(_ status: Int) -> StaticString {
    switch status {
    case 200: "OK"
    case 201: "Created"
    case 204: "No Content"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 402: "Payment Required"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 417: "Expectation Failed"
    case 422: "Unprocessable Content"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"  // the phrase of RFC 9110, section 15.6.2
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: "Status"
    }
}
