/// A request head is complete at the same place however much follows, never complete when cut, and its headers hold no
/// line ends.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    let limits = HTTPLimits()
    _ = HTTPParser.parseResponseHead(bytes, limits: limits)
    guard case .complete(let head) = HTTPParser.parseRequestHead(bytes, limits: limits) else { return }
    precondition(head.headBytes <= bytes.count && !head.target.isEmpty)
    precondition(!(head.isChunked && head.contentLength >= 0))
    let cut = UnsafeRawBufferPointer(rebasing: bytes[..<(cutPosition(bytes) % head.headBytes)])
    guard case .incomplete = HTTPParser.parseRequestHead(cut, limits: limits) else {
        preconditionFailure("a head is complete or malformed when cut")
    }
    var iterator = HeaderIterator(bytes, headBytes: head.headBytes)
    while let (name, value) = iterator.next() {
        precondition(!name.isEmpty)
        precondition(!bytes[value].contains { $0 == 0 || $0 == 0x0A || $0 == 0x0D })
    }
}
