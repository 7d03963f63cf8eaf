/// Why HTTP framing was refused, one case per reason. The message is fixed text, so it can never leak a header.
package enum HTTPFault: UInt8, Error, Hashable, Sendable, CaseIterable {
    case badRequestLine, badMethod, emptyTarget, badTarget, targetTooLong, unsupportedVersion
    case badStatusLine
    case headTooLarge, tooManyHeaders
    case badHeaderName, spaceBeforeColon, foldedHeader, badHeaderValue, badLineEnd
    case missingHost, repeatedHost, badHost
    case badContentLength, repeatedContentLength, lengthAndChunked
    case unsupportedTransferCoding, repeatedTransferCoding, transferCodingOnHTTP10
    case unsupportedExpectation
    case repeatedCredential, repeatedContentHeader
    case badChunkSize, chunkTooLarge, badChunkExtension, chunkExtensionTooLong, badChunkEnd
    case badTrailer, forbiddenTrailer, trailersTooLarge

    /// HTTP status for the caller when a request is at fault.
    package var status: Int {
        switch self {
        case .targetTooLong: 414
        case .chunkTooLarge: 413
        case .unsupportedExpectation: 417
        case .headTooLarge, .tooManyHeaders, .trailersTooLarge: 431
        default: 400
        }
    }

    /// What is wrong and how to mend it.
    package var message: String {
        switch self {
        case .badRequestLine: "Malformed request line: send \"METHOD /path HTTP/1.1\" with single spaces."
        case .badMethod: "Malformed method: send a token such as GET or POST."
        case .emptyTarget: "Empty request target: send a path that starts with \"/\"."
        case .badTarget: "Malformed request target: send a path that starts with \"/\", percent-encoded, no fragment."
        case .targetTooLong: "Request target too long: move parameters into the body."
        case .unsupportedVersion: "Unsupported protocol version: use HTTP/1.1."
        case .badStatusLine: "Malformed status line."
        case .headTooLarge: "Request head too large: send fewer or shorter headers."
        case .tooManyHeaders: "Too many headers: send fewer."
        case .badHeaderName: "Malformed header name: use letters, digits and \"-\" followed by a colon."
        case .spaceBeforeColon: "White space in or after a header name: put the colon directly after the name."
        case .foldedHeader: "Folded header line: send each header on one line."
        case .badHeaderValue: "Control character in a header value: remove it."
        case .badLineEnd: "Bare CR or LF in the head: end each line with CR LF."
        case .missingHost: "Missing Host header: HTTP/1.1 requires one."
        case .repeatedHost: "Repeated Host header: send one."
        case .badHost: "Malformed Host header: send \"host\" or \"host:port\"."
        case .badContentLength: "Malformed Content-Length: send one decimal number of at most 18 digits."
        case .repeatedContentLength: "Repeated Content-Length: send it once."
        case .lengthAndChunked: "Content-Length together with Transfer-Encoding: send only one of them."
        case .unsupportedTransferCoding: "Unsupported Transfer-Encoding: only \"chunked\" is understood."
        case .repeatedTransferCoding: "Repeated Transfer-Encoding: send it once."
        case .transferCodingOnHTTP10: "Transfer-Encoding on HTTP/1.0: use HTTP/1.1 or Content-Length."
        case .unsupportedExpectation: "Unsupported Expect header: only \"100-continue\" is understood."
        case .repeatedCredential: "Repeated credential header: send each of them at most once."
        case .repeatedContentHeader: "Repeated Content-Type or Content-Encoding: send each at most once."
        default: self.chunkMessage
        }
    }

    private var chunkMessage: String {
        switch self {
        case .badChunkSize: "Malformed chunk size: send 1 to 16 hexadecimal digits followed by CR LF."
        case .chunkTooLarge: "Chunk too large: send smaller chunks."
        case .badChunkExtension: "Control character in a chunk extension: remove it."
        case .chunkExtensionTooLong: "Chunk extension too long: leave it out."
        case .badChunkEnd: "Chunk data not followed by CR LF: the chunk size does not match the data."
        case .badTrailer: "Malformed trailer: send \"name: value\" lines that end with CR LF."
        case .forbiddenTrailer: "Trailer that controls framing, routing or credentials: send it in the head."
        case .trailersTooLarge: "Trailers too large: send fewer or none."
        default: "Malformed message."
        }
    }
}
