import GatewayWire
import TestSupport
import Testing

@Suite("A scanner for members of an answer that is not held", .ownThread)
struct MemberScannerTests {
    private static func object(_ text: String, pieceBytes: Int, names: [StaticString] = ["usage", "b"]) -> String? {
        var scanner = MemberScanner(names: names)
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            Array(bytes[start..<min(bytes.count, start + pieceBytes)]).withUnsafeBytes { scanner.feed($0) }
        }
        return scanner.object.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("finds them wherever they stand and however the answer is cut", arguments: [1, 2, 3, 5, 8, 1000])
    func finds(pieceBytes: Int) {
        for (text, expected) in [
            (#"{"usage":{"a":[1,{"usage":2}]},"x":"usage","b":true}"#, #"{"usage":{"a":[1,{"usage":2}]},"b":true}"#),
            (#" { "x" : {"usage":1} , "b" : "q\"}, " , "usage" : 12.5e3 } "#, #"{"usage": 12.5e3 ,"b": "q\"}, " }"#),
            (#"{"b":1,"b":2}"#, #"{"b":2}"#),
            (#"{"x":[{"b":1}],"usage":null}"#, #"{"usage":null}"#),
            // The answer is cut, and this member is whole.
            (#"{"x":1,"usage":{"a":[{}]}"#, #"{"usage":{"a":[{}]}}"#),
        ] {
            let found = Self.object(text, pieceBytes: pieceBytes)
            #expect(found?.filter { $0 != " " } == expected.filter { $0 != " " }, "\(text)")
        }
    }

    @Test("finds nothing where there is nothing", arguments: [1, 1000])
    func findsNothing(pieceBytes: Int) {
        for text in [
            "", "{}", "[]", #"[{"usage":1}]"#, "null", "\"usage\"", #"{"x":1}"#, #"{"usages":1,"usag":2,"":3}"#,
            #"{"usage":"#, #"{"usage":1"#, "}}}}", #"{"x":"\\"}"#, #"{}{"usage":1}"#,
        ] {
            #expect(Self.object(text, pieceBytes: pieceBytes) == nil, "\(text)")
        }
    }

    @Test("keeps no more than its bound of a value, and finds what stands behind it")
    func bound() {
        let long = String(repeating: "x", count: MemberScanner.keptBytesMax)
        #expect(Self.object("{\"usage\":\"\(long)\",\"b\":1}", pieceBytes: 100) == "{\"b\":1}")
        let name = String(repeating: "usage", count: 1000)
        #expect(Self.object("{\"\(name)\":1,\"b\":1}", pieceBytes: 100) == "{\"b\":1}")
    }
}
