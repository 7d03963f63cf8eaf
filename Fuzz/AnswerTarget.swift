/// An answer gives the same usage whole and in two pieces.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    let scan = JSONScanner.scanAnswer(bytes)
    precondition(JSONScanner.contentBytes(bytes) <= bytes.count)
    var whole = StreamingUsageScanner()
    whole.feed(bytes)
    var pieces = StreamingUsageScanner()
    withPieces(bytes, cut: cutPosition(bytes)) { pieces.feed($0) }
    precondition(whole.usage == pieces.usage && whole.hasError == pieces.hasError, "pieces differ")
    // Both follow the same fields when the strict scanner finds the answer to be valid and small.
    guard case .success = JSONScanner.scanRequest(bytes), bytes.count < StreamingUsageScanner.keptBytesMax else {
        return
    }
    precondition(scan.usage?.promptTokens == whole.usage?.promptTokens || bytes.contains(UInt8(ascii: "\\")), "usage")
}
