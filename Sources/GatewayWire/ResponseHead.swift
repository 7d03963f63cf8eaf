/// A verified HTTP/1.1 response head of a provider. All ranges point into the parsed bytes.
package struct ResponseHead: Sendable {
    /// Length of the head with its blank line; the body starts here.
    package var headBytes = 0
    /// 100...599
    package var status = 0
    /// Otherwise 1.0.
    package var isHTTP11 = true
    /// Bytes. -1: no Content-Length.
    package var contentLength: Int64 = -1
    package var isChunked = false
    /// From the version and `Connection`. A body without a length ends with the connection whatever this says.
    package var keepAlive = true
    package var contentType = ByteRange.empty
    package var contentEncoding = ByteRange.empty
    package var retryAfter = ByteRange.empty
    /// `Content-Type: text/event-stream`, in any case, with or without parameters.
    package var isEventStream = false

    package init() {}

    /// 1xx: the final response is still to come (101 is a fault: the gateway never asks for an upgrade).
    package var isInterim: Bool { self.status < 200 }
    /// 1xx, 204 and 304 have no body, whatever their headers say (RFC 9112, section 6.3); nor has an answer to HEAD.
    package var hasNoBody: Bool { self.status < 200 || self.status == 204 || self.status == 304 }
}

/// What a parse of a response's first bytes gave.
package enum ResponseHeadParse: Sendable {
    /// More bytes are needed. Worth another try only after a line feed has come.
    case incomplete
    case complete(ResponseHead)
    case malformed(HTTPFault)
}
