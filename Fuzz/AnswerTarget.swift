/// An answer gives the same usage whole and in two pieces.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    let scan = JSONScanner.scanAnswer(bytes)
    precondition(JSONScanner.contentBytes(bytes) <= bytes.count)
    var whole = StreamingUsageScanner()
    whole.feed(bytes)
    var pieces = StreamingUsageScanner()
    withPieces(bytes, cut: cutPosition(bytes)) { pieces.feed($0) }
    precondition(whole.usage == pieces.usage && whole.hasError == pieces.hasError, "pieces differ")
    // Both find the same in a small valid answer. Only the whole scan knows escaped keys and Groq's other place.
    guard case .success = JSONScanner.scanRequest(bytes), bytes.count < StreamingUsageScanner.keptBytesMax,
        !bytes.contains(UInt8(ascii: "\\")), !String(decoding: bytes, as: UTF8.self).contains("x_groq")
    else { return }
    precondition(scan.usage == whole.usage && scan.hasError == whole.hasError, "whole and streamed differ")
}
