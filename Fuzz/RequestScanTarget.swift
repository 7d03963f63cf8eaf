/// The ranges of a scanned request lie within it and hold what they should.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    guard case .success(let scan) = JSONScanner.scanRequest(bytes) else { return }
    precondition(bytes[scan.objectEnd] == UInt8(ascii: "}"))
    precondition(scan.inputTextBytes >= 0 && scan.inputTextBytes <= bytes.count)
    precondition(scan.maxTokens >= -1 && scan.choiceCount >= 1)
    if !scan.modelToken.isEmpty {
        let token = bytes[scan.modelToken]
        precondition(token.first == UInt8(ascii: "\"") && token.last == UInt8(ascii: "\""))
        precondition(scan.model.count == token.count - 2)
    }
    for range in [scan.streamOptions, scan.includeUsageToken, scan.mockResponse, scan.user] {
        precondition(range.start >= 0 && Int(range.end) <= bytes.count)
    }
    // What is valid JSON for the strict scanner is whole for the tolerant ones.
    precondition(JSONScanner.scanAnswer(bytes).isComplete)
    precondition(JSONScanner.contentBytes(bytes) <= bytes.count)
}
