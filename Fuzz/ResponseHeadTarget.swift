/// A response head is complete at the same place however much follows, and never complete when cut.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    let limits = HTTPLimits()
    guard case .complete(let head) = HTTPParser.parseResponseHead(bytes, limits: limits) else { return }
    precondition(head.headBytes <= bytes.count && head.status >= 100 && head.status <= 599)
    precondition(!(head.isChunked && head.contentLength >= 0))
    let cut = UnsafeRawBufferPointer(rebasing: bytes[..<(cutPosition(bytes) % head.headBytes)])
    guard case .incomplete = HTTPParser.parseResponseHead(cut, limits: limits) else {
        preconditionFailure("a head is complete or malformed when cut")
    }
    var iterator = HeaderIterator(bytes, headBytes: head.headBytes)
    while let (name, value) = iterator.next() {
        precondition(!name.isEmpty)
        precondition(!bytes[value].contains { $0 == 0 || $0 == 0x0A || $0 == 0x0D })
    }
}
