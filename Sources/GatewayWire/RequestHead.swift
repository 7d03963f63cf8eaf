/// The methods that the gateway tells apart (RFC 9110, section 9). Method names are case-sensitive.
package enum HTTPMethod: UInt8, Hashable, Sendable {
    case get, post, put, patch, delete, head, options, other
}

/// A verified HTTP/1.1 request head. All ranges point into the parsed bytes; values have no white space around them.
package struct RequestHead: Sendable {
    /// Length of the head with its blank line (and with a leading empty line, if one came); the body starts here.
    package var headBytes = 0
    package var method = HTTPMethod.other
    package var methodRange = ByteRange.empty
    /// Origin-form, such as `/v1/models?x=1`, never empty; of an absolute-form target its path part; `*` with OPTIONS.
    package var target = ByteRange.empty
    /// Otherwise 1.0; other versions are refused.
    package var isHTTP11 = true
    /// Bytes. -1: no Content-Length.
    package var contentLength: Int64 = -1
    /// The digits of Content-Length. Empty: none came.
    package var contentLengthDigits = ByteRange.empty
    package var isChunked = false
    /// From the version and `Connection` (RFC 9112, section 9.3).
    package var keepAlive = true
    /// `Expect: 100-continue` on HTTP/1.1.
    package var expectsContinue = false
    /// `Host`, or the authority of an absolute-form target, which has precedence. Empty only on HTTP/1.0.
    package var host = ByteRange.empty
    package var authorization = ByteRange.empty
    /// `api-key` (Azure).
    package var apiKey = ByteRange.empty
    /// `x-api-key` (Anthropic).
    package var xAPIKey = ByteRange.empty
    /// `x-goog-api-key` (Gemini).
    package var xGoogAPIKey = ByteRange.empty
    /// `x-litellm-api-key`
    package var xLiteLLMAPIKey = ByteRange.empty
    package var contentType = ByteRange.empty
    package var accept = ByteRange.empty
    /// `x-litellm-call-id`
    package var callID = ByteRange.empty
    package var traceparent = ByteRange.empty
    /// `x-litellm-tags`
    package var tags = ByteRange.empty
    /// `x-martlet-dry-run`
    package var dryRun = ByteRange.empty
    package var contentEncoding = ByteRange.empty
    package var upgrade = ByteRange.empty

    package init() {}
}

/// What a parse of a request's first bytes gave.
package enum RequestHeadParse: Sendable {
    /// More bytes are needed. Worth another try only after a line feed has come.
    case incomplete
    case complete(RequestHead)
    /// The connection can only be answered and closed: where the next request starts is unknown.
    case malformed(HTTPFault)
}
