import GatewayWire
import TestSupport
import Testing

/// Decodes `bytes` in the pieces that `cuts` make. Gives payload, bytes consumed and whether the end came.
private func decode(
    _ bytes: [UInt8], cuts: [Int] = [], limits: HTTPLimits = HTTPLimits()
) -> Result<(payload: [UInt8], consumed: Int, isComplete: Bool), HTTPFault> {
    var decoder = ChunkedDecoder(limits: limits)
    var payload: [UInt8] = []
    var consumed = 0
    var isComplete = false
    for (start, end) in zip([0] + cuts, cuts + [bytes.count]) {
        let result = withGuarded(bytes[start..<end]) { piece in
            decoder.decode(piece) { payload.append(contentsOf: piece[$0]) }
        }
        switch result {
        case .failure(let fault): return .failure(fault)
        case .success(let progress):
            consumed += progress.consumed
            isComplete = progress.isComplete
        }
    }
    return .success((payload, consumed, isComplete))
}

private func fault(_ text: String, _ limits: HTTPLimits = HTTPLimits()) -> HTTPFault? {
    guard case .failure(let fault) = decode(Array(text.utf8), limits: limits) else { return nil }
    return fault
}

@Suite("A chunked body", .ownThread)
struct ChunkedTests {
    static let good = [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("00005\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", "hello0123456789"),
        ("5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "hello"),
        ("1\r\n\r\r\n1\r\n\n\r\n000\r\nX: y\r\nZ:\t1\r\n\r\n", "\r\n"),
    ]

    @Test("decodes to its payload, however it is cut in three", arguments: good)
    func splits(text: String, payload: String) throws {
        let bytes = Array(text.utf8)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let result = try decode(bytes, cuts: [first, second]).get()
                #expect(result.payload == Array(payload.utf8) && result.isComplete && result.consumed == bytes.count)
            }
        }
        for count in 0..<bytes.count {
            let isComplete = try decode(Array(bytes[..<count])).get().isComplete
            #expect(!isComplete, "cut at \(count)")
        }
    }

    @Test("ends before the next message")
    func pipelined() throws {
        let body = "5\r\nhello\r\n0\r\n\r\n"
        let result = try decode(Array((body + "GET / HTTP/1.1\r\n").utf8)).get()
        #expect(result.isComplete && result.consumed == body.utf8.count)
    }

    static let bad: [(String, HTTPFault)] = [
        ("\r\n", .badChunkSize), (" 5\r\n", .badChunkSize), ("+5\r\n", .badChunkSize), ("-5\r\n", .badChunkSize),
        ("5 \r\n", .badChunkSize), ("5 ;x\r\n", .badChunkSize), ("0x5\r\n", .badChunkSize), ("g\r\n", .badChunkSize),
        ("5\n", .badChunkSize), ("5\rX", .badChunkSize), ("5;a\nhello", .badChunkExtension),
        ("5;a\u{1}\r\n", .badChunkExtension), ("5;a\rb", .badChunkSize), ("00000000000000005\r\n", .badChunkSize),
        ("ffffffffffffffff\r\n", .chunkTooLarge), ("4000000000000000\r\n", .chunkTooLarge),
        ("5\r\nhelloX", .badChunkEnd), ("5\r\nhello\n", .badChunkEnd), ("5\r\nhello\rX", .badChunkEnd),
        ("5\r\nhello0\r\n\r\n", .badChunkEnd), ("0\r\n X: 1\r\n\r\n", .badTrailer), ("0\r\nX : 1\r\n", .badTrailer),
        ("0\r\nX\r\n", .badTrailer), ("0\r\nX: 1\n", .badTrailer), ("0\r\nX: 1\rY", .badTrailer),
        ("0\r\nX: \0\r\n", .badTrailer), ("0\r\n\rX", .badTrailer), ("0\r\n\n", .badTrailer),
        ("0\r\nContent-Length: 1\r\n\r\n", .forbiddenTrailer), ("0\r\nTRANSFER-ENCODING: x\r\n\r\n", .forbiddenTrailer),
        ("0\r\nhost: a\r\n\r\n", .forbiddenTrailer), ("0\r\nAuthorization: a\r\n\r\n", .forbiddenTrailer),
    ]

    @Test("is refused, however it is cut", arguments: bad)
    func refused(text: String, expected: HTTPFault) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            guard case .failure(let fault) = decode(bytes, cuts: [cut]) else {
                Issue.record("cut at \(cut) passes")
                return
            }
            #expect(fault == expected)
        }
    }

    @Test("is held to its limits")
    func limits() {
        var limits = HTTPLimits()
        limits.chunkExtensionBytesMax = 3
        limits.trailerBytesMax = 8
        #expect(fault("1;abc\r\nx\r\n0\r\n\r\n", limits) == nil)
        #expect(fault("1;abcd\r\nx\r\n0\r\n\r\n", limits) == .chunkExtensionTooLong)
        #expect(fault("0\r\nX: 1234\r\n\r\n", limits) == .trailersTooLarge)
        #expect(fault("0\r\nX: 123\r\n\r\n", limits) == nil)
        #expect(fault("0\r\nX: 1\r\nY:2\r\n\r\n", limits) == .trailersTooLarge)
    }

    @Test("stays refused after a fault")
    func staysFaulted() {
        var decoder = ChunkedDecoder(limits: HTTPLimits())
        for text in ["x", "0\r\n\r\n", ""] {
            let result = withGuarded(text) { decoder.decode($0) { _ in Issue.record("payload after a fault") } }
            #expect(result == .failure(.badChunkSize))
        }
    }

    @Test("passes on what the consumer throws")
    func throwing() {
        struct Stop: Error {}
        var decoder = ChunkedDecoder(limits: HTTPLimits())
        #expect(throws: Stop.self) {
            try withGuarded("1\r\nx") { bytes in _ = try decoder.decode(bytes) { _ in throw Stop() } }
        }
    }

    @Test("as written is read back", arguments: [1, 9, 10, 15, 16, 255, 256, 4095, 70_000])
    func roundTrip(count: Int) throws {
        var bytes = withUnsafeTemporaryAllocation(byteCount: ChunkedEncoder.sizeBytesMax, alignment: 1) { buffer in
            Array(buffer[..<ChunkedEncoder.writeSize(count, to: buffer)])
        }
        #expect(String(decoding: bytes, as: UTF8.self) == String(count, radix: 16) + "\r\n")
        bytes += Array(repeating: 0x0A, count: count) + Array(ChunkedEncoder.chunkEnd.description.utf8)
        bytes += Array(ChunkedEncoder.lastChunk.description.utf8)
        let result = try decode(bytes).get()
        #expect(result.payload.count == count && result.isComplete)
    }
}
