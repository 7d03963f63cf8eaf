/// The entry point that libFuzzer calls with each input. `scripts/fuzz` compiles this file with one target file, which
/// defines `fuzzOne`, and with the sources of GatewayCore and GatewayWire.
///
/// A finding is a crash: a read out of bounds (AddressSanitizer), a trap, or a broken `precondition` of a target.
@_cdecl("LLVMFuzzerTestOneInput")
package func fuzzerTestOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // A copy of its own, so that AddressSanitizer sees a read one byte too far.
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
    defer { copy.deallocate() }
    if let start { copy.copyMemory(from: UnsafeRawBufferPointer(start: start, count: count)) }
    fuzzOne(UnsafeRawBufferPointer(copy))
    return 0
}

/// Calls `body` with the bytes cut in two at `cut`, each piece in memory of its own.
func withPieces(_ bytes: UnsafeRawBufferPointer, cut: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
    for range in [0..<cut, cut..<bytes.count] {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 1)
        defer { piece.deallocate() }
        piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
        body(UnsafeRawBufferPointer(piece))
    }
}

/// A place to cut that depends on the bytes only, so that a finding can be repeated.
func cutPosition(_ bytes: UnsafeRawBufferPointer) -> Int {
    bytes.isEmpty ? 0 : bytes.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xFFFF } % (bytes.count + 1)
}
