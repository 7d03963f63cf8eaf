/// A chunked body decodes to the same whole and in two pieces.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    var whole = Decoding()
    whole.feed(bytes)
    var pieces = Decoding()
    withPieces(bytes, cut: cutPosition(bytes)) { pieces.feed($0) }
    precondition(whole == pieces, "a body decodes differently in pieces")
}

private struct Decoding: Equatable {
    private var decoder = ChunkedDecoder(limits: HTTPLimits())
    private var payload: [UInt8] = []
    private var consumed = 0
    private var isComplete = false
    private var fault: HTTPFault?

    mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        var payload: [UInt8] = []
        switch self.decoder.decode(bytes, body: { payload.append(contentsOf: bytes[$0]) }) {
        case .success(let progress):
            precondition(progress.consumed == bytes.count || progress.isComplete)
            self.consumed += progress.consumed
            self.isComplete = progress.isComplete
        case .failure(let fault): self.fault = fault
        }
        self.payload += payload
    }

    static func == (a: Decoding, b: Decoding) -> Bool {
        a.payload == b.payload && a.fault == b.fault && (a.fault != nil || a.consumed == b.consumed)
            && a.isComplete == b.isComplete
    }
}
