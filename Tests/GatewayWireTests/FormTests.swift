import Foundation
import GatewayWire
import TestSupport
import Testing

@Suite("A form", .ownThread)
struct FormTests {
    private static let boundary = Array("b0undary".utf8)

    private func scan(_ body: [UInt8]) throws -> [(name: String, content: [UInt8], isFile: Bool)] {
        try body.withUnsafeBytes { bytes in
            try FormScan(bytes, boundary: Self.boundary).parts.map {
                (String(decoding: bytes[$0.name], as: UTF8.self), Array(bytes[$0.content]), $0.isFile)
            }
        }
    }

    private func body(_ text: String) -> [UInt8] { Array(text.replacingOccurrences(of: "\n", with: "\r\n").utf8) }

    private static let whole = """
        preamble
        --b0undary \t
        Content-Disposition: form-data; name="model"

        gpt
        --b0undary
        content-type: audio/wav
        CONTENT-DISPOSITION: form-data; filename="a;\\"name=x.wav"; name=file

        data --b0undary
        --b0undar

        --b0undary
        Content-Disposition: form-data; name="empty"

        --b0undary--
        epilogue
        """

    @Test("is read part by part, whatever its files hold")
    func parts() throws {
        let parts = try self.scan(self.body(Self.whole))
        #expect(parts.map(\.name) == ["model", "file", "empty"])
        #expect(parts.map(\.isFile) == [false, true, false])
        #expect(parts[0].content == Array("gpt".utf8))
        #expect(parts[1].content == self.body("data --b0undary\n--b0undar\n"))
        #expect(parts[2].content.isEmpty)
    }

    @Test("that was cut anywhere before its last delimiter is refused")
    func cut() throws {
        let body = self.body(Self.whole)
        let end = try #require(body.firstRange(of: Array("--b0undary--".utf8))).upperBound
        for count in 0..<end { #expect(throws: FormFault.self) { try self.scan(Array(body[..<count])) } }
        #expect(try self.scan(Array(body[..<end])).count == 3)
    }

    @Test("with bytes of any value in it does not stop the program")
    func random() throws {
        var generator = SeededGenerator(seed: 20_261_123)
        let body = self.body(Self.whole)
        for _ in 0..<20_000 {
            var changed = body
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = changed.indices.randomElement(using: &generator) ?? 0
                let bytes = Array("\r\n-;\"\\=\0 b".utf8) + [0xFF]
                changed[index] = bytes.randomElement(using: &generator) ?? 0
            }
            if let parts = try? self.scan(changed) {
                for part in parts { #expect(part.content.count <= changed.count && !part.name.isEmpty) }
            }
        }
    }

    @Test(
        "names its boundary in the Content-Type",
        arguments: [
            ("multipart/form-data; boundary=b0", "b0"), ("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"", "a b"),
            ("multipart/form-data", nil), ("multipart/mixed; boundary=b", nil), ("multipart/form-data; boundary=", nil),
            ("multipart/form-data; boundary=a; boundary=b", nil), ("multipart/form-data; boundary=\"a\u{1}\"", nil),
            ("multipart/form-data; boundary=\(String(repeating: "x", count: 71))", nil),
        ] as [(String, String?)])
    func boundary(value: String, expected: String?) {
        let found = Array(value.utf8).withUnsafeBytes { FormScan.boundary(ofContentType: $0) }
        #expect(found == expected.map { Array($0.utf8) })
    }

    @Test("has a bound on its parts")
    func partsMax() {
        let part = "--b0undary\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n"
        let body = String(repeating: part, count: FormScan.partsMax + 1) + "--b0undary--"
        #expect(throws: FormFault.self) { try self.scan(Array(body.utf8)) }
    }
}

@Suite("An answer that is charged by units", .ownThread)
struct UnitAnswerTests {
    private static let image = #"""
        {"created":1,"size":"1024x1536","quality":"high","data":[{"b64_json":"a{\"usage\":1}\\"},{"x":{"y":[{}]}}],
         "meta":null,"usage":{"input_tokens":3,"input_tokens_details":{"image_tokens":1,"text_tokens":2},
         "output_tokens":4,"total_tokens":7}, "duration" : 1.5 }
        """#

    @Test("is read the same in pieces of any size")
    func pieces() {
        let bytes = Array(Self.image.utf8)
        for size in 1...bytes.count {
            var scanner = UnitAnswerScanner()
            for start in stride(from: 0, to: bytes.count, by: size) {
                bytes[start..<min(bytes.count, start + size)].withUnsafeBytes { scanner.feed($0) }
            }
            #expect(scanner.report.inputTokens == 3 && scanner.report.outputTokens == 4)
            #expect(scanner.report.imageInputTokens == 1 && scanner.report.textInputTokens == 2)
            #expect(scanner.report.microseconds == 1_500_000)
            #expect(scanner.dataCount == 2 && scanner.size == "1024x1536" && scanner.quality == "high")
            #expect(!scanner.hasError)
        }
    }

    @Test("that is a stream is read by its last report, and by the event that ends it")
    func events() {
        var scanner = UnitAnswerScanner()
        let events = [
            #"event: image_generation.partial_image"# + "\n"
                + #"data: {"type":"image_generation.partial_image","b64_json":"AA"}"#,
            #"data: {"type":"image_generation.completed","usage":{"input_tokens":1,"output_tokens":2}}"#,
        ]
        for (index, event) in events.enumerated() {
            Array((event + "\n\n").utf8).withUnsafeBytes { scanner.feed($0) }
            #expect(scanner.sawLastEvent == (index == 1))
        }
        #expect(scanner.report.outputTokens == 2)
    }

    @Test(
        "says an error, also one too long to be kept",
        arguments: ["{}", "\"x\"", "\"\(String(repeating: "x", count: 9000))\""])
    func error(value: String) {
        var scanner = UnitAnswerScanner()
        Array("{\"error\":\(value)}".utf8).withUnsafeBytes { scanner.feed($0) }
        #expect(scanner.hasError)
    }

    @Test("without an error says none")
    func noError() {
        var scanner = UnitAnswerScanner()
        Array("{\"error\":null,\"text\":\"error\"}".utf8).withUnsafeBytes { scanner.feed($0) }
        #expect(!scanner.hasError)
    }
}
