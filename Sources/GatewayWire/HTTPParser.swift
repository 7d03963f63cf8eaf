/// Parses HTTP/1.1 heads in place (RFC 9112), strictly, so that no two readers can see different messages.
/// A head that is cut is `incomplete` or already `malformed`, never complete.
package enum HTTPParser {
    /// Parses the head of a request from the front of `bytes`, which may hold more than the head.
    @inline(never)
    package static func parseRequestHead(_ bytes: UnsafeRawBufferPointer, limits: HTTPLimits) -> RequestHeadParse {
        guard let base = bytes.baseAddress else { return .incomplete }
        var parser = RequestHeadParser(base: base, count: bytes.count, limits: limits)
        do throws(HeadStop) {
            try parser.parse()
            return .complete(parser.head)
        } catch {
            switch error {
            case .incomplete: return bytes.count >= limits.headBytesMax ? .malformed(.headTooLarge) : .incomplete
            case .fault(let fault): return .malformed(fault)
            }
        }
    }

    /// Parses the head of a response from the front of `bytes`, which may hold more than the head.
    @inline(never)
    package static func parseResponseHead(_ bytes: UnsafeRawBufferPointer, limits: HTTPLimits) -> ResponseHeadParse {
        guard let base = bytes.baseAddress else { return .incomplete }
        var parser = ResponseHeadParser(base: base, count: bytes.count, limits: limits)
        do throws(HeadStop) {
            try parser.parse()
            return .complete(parser.head)
        } catch {
            switch error {
            case .incomplete: return bytes.count >= limits.headBytesMax ? .malformed(.headTooLarge) : .incomplete
            case .fault(let fault): return .malformed(fault)
            }
        }
    }
}
