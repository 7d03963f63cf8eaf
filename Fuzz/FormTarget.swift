/// The first line is the Content-Type, the rest a form: its parts lie within it, one behind the other, and it is read
/// the same with what comes before its first delimiter taken off.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    guard let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\n")),
        let boundary = FormScan.boundary(ofContentType: UnsafeRawBufferPointer(rebasing: bytes[..<lineEnd]))
    else { return }
    precondition((1...FormScan.boundaryBytesMax).contains(boundary.count), "a boundary of no allowed length")
    let body = UnsafeRawBufferPointer(rebasing: bytes[(lineEnd + 1)...])
    guard let scan = try? FormScan(body, boundary: boundary) else { return }
    precondition(scan.parts.count <= FormScan.partsMax, "more parts than allowed")
    var position = scan.firstDelimiter
    for part in scan.parts {
        let (name, content) = (Int(part.name.start), Int(part.content.start))
        precondition(name >= position && content >= name + part.name.count, "parts overlap")
        position = content + part.content.count
        precondition(position <= body.count, "a part beyond the body")
    }
    let rest = UnsafeRawBufferPointer(rebasing: body[scan.firstDelimiter...])
    guard let again = try? FormScan(rest, boundary: boundary) else {
        preconditionFailure("refused without its preamble")
    }
    precondition(again.parts.count == scan.parts.count && again.firstDelimiter == 0, "read differently")
}
