import Foundation
import GatewayTranslation
import GatewayWire
import TestSupport
import Testing

@Suite("An AWS event stream", .ownThread)
struct AWSEventStreamTests {
    private func vectors(_ kind: String) -> [Generic] {
        let path = RecordedCase.directory + "/aws-eventstream-vectors/vectors.json"
        let bytes = FileManager.default.contents(atPath: path).map { [UInt8]($0) } ?? []
        return Generic(json: bytes)[kind].list
    }

    private func bytes(hex: String) -> [UInt8] {
        let digits = Array(hex.utf8)
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(decoding: digits[$0...($0 + 1)], as: UTF8.self), radix: 16)
        }
    }

    @Test("reads AWS's own vectors, and refuses the damaged ones")
    func vectors() throws {
        for vector in self.vectors("positive") {
            let frame = self.bytes(hex: vector["hex"].string ?? "")
            let (payload, headerCount) = try frame.withUnsafeBytes { bytes in
                let message = try AWSEventStream.decode(bytes)
                return (message.payload.string, message.headerCount)
            }
            #expect(payload == vector["payload"].string, "\(vector["name"].string ?? "")")
            #expect(headerCount == vector["headers"].keys.count)
        }
        for vector in self.vectors("negative") {
            let frame = self.bytes(hex: vector["hex"].string ?? "")
            #expect(throws: AWSEventStream.Fault.self, "\(vector["name"].string ?? "")") {
                try frame.withUnsafeBytes { _ = try AWSEventStream.decode($0) }
            }
        }
    }

    private func frame(_ text: String) -> [UInt8] {
        var output: [UInt8] = []
        let payload = Array(text.utf8)
        payload.withUnsafeBytes { AWSEventStream.append(kind: "event", type: "metadata", payload: $0, to: &output) }
        return output
    }

    @Test("gives the same frames in any pieces, and none after damage")
    func pieces() {
        let stream = self.frame("{\"a\":1}") + self.frame("") + self.frame("{}")
        for size in 1...stream.count {
            var reader = AWSEventStream.Reader()
            var payloads: [String] = []
            for start in stride(from: 0, to: stream.count, by: size) {
                let piece = Array(stream[start..<min(start + size, stream.count)])
                let fault = piece.withUnsafeBytes { reader.feed($0) { payloads.append($0.payload.string) } }
                #expect(fault == nil)
            }
            #expect(payloads == ["{\"a\":1}", "", "{}"])
            #expect(reader.carriedBytes == 0)
        }
        let frame = self.frame("{\"a\":1}")
        for index in frame.indices {
            var damaged = frame
            damaged[index] ^= 1
            var reader = AWSEventStream.Reader()
            var count = 0
            let fault = damaged.withUnsafeBytes { reader.feed($0) { _ in count += 1 } }
            #expect(count == 0)
            #expect(fault != nil, "byte \(index)")
        }
    }
}

@Suite("A JSON tree", .ownThread)
struct JSONTreeTests {
    @Test(
        "reads what JSON is and nothing else",
        arguments: [
            ("{}", true), ("[1,2]", true), (" {\"a\" : [ ] } ", true), ("1e5", true), ("\"\\u00e9\"", true),
            ("", false), ("{", false), ("[1,]", false), ("{\"a\":1,}", false), ("{a:1}", false), ("[1 2]", false),
            ("01", false), ("{} x", false), ("\"\u{1}\"", false), ("nul", false), ("[,1]", false), ("{\"a\"}", false),
        ])
    func validity(text: String, isValid: Bool) {
        let bytes = Array(text.utf8)
        let isRead = bytes.withUnsafeBytes { (try? JSONTree().read($0)) != nil }
        #expect(isRead == isValid)
    }

    @Test("keeps numbers, escapes, order and repeated keys as they were written")
    func fidelity() throws {
        let text = "{\"b\":123456789012345678901234567890,\"a\":1.50e+3,\"a\":\"\\u0041\\/\",\"\\u0063\":true}"
        let bytes = Array(text.utf8)
        try bytes.withUnsafeBytes { bytes in
            let tree = JSONTree()
            defer { withExtendedLifetime(tree) {} }
            let root = try tree.read(bytes)
            #expect(root["b"]?.source.string == "123456789012345678901234567890")
            #expect(root["a"]?.text?.string == "A/")
            #expect(root["c"]?.bool == true)
            #expect(root.members.map { $0.key.slice.string } == ["b", "a", "a", "\\u0063"])
            #expect(root.source.string == text)
        }
    }

    @Test("agrees with Foundation on mutations of a body, within its bytes")
    func mutations() {
        let seed: UInt64 = 20_261_122
        var state = seed
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let base = Array("{\"a\":[1,{\"b\":\"x\\n\\ud83d\\ude00é\"},null,true],\"c\":-0.5e-3,\"d\":{}}".utf8)
        let alphabet = Array("{}[]\",:\\0eE+-.nt \n\u{7F}u".utf8) + [0xC3, 0xFF]
        for round in 0..<20_000 {
            var bytes = base
            for _ in 0...random(3) {
                let place = random(bytes.count)
                switch random(3) {
                case 0: bytes[place] = alphabet[random(alphabet.count)]
                case 1: bytes.insert(alphabet[random(alphabet.count)], at: place)
                default: if bytes.count > 1 { bytes.remove(at: place) }
                }
            }
            let isRead = bytes.withUnsafeBytes { (try? JSONTree().read($0)) != nil }
            let reference = (try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])) != nil
            // Foundation refuses half surrogate pairs and takes some text that is not JSON, such as a last comma; only
            // the first matters.
            let text = String(decoding: bytes, as: UTF8.self)
            let hasLastComma = text.contains(",]") || text.contains(",}")
            if reference, !isRead, !hasLastComma, !bytes.contains(0) {
                Issue.record("seed \(seed) round \(round): \(bytes)")
            }
        }
    }

    @Test("is bounded in depth")
    func depth() {
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        #expect(throws: JSONFault.self) { try deep.withUnsafeBytes { _ = try JSONTree().read($0) } }
    }
}

@Suite("A provider's failure", .ownThread)
struct ProviderFailureTests {
    private func read(_ body: String, _ status: Int) -> ProviderFailure {
        Array(body.utf8).withUnsafeBytes { AnswerTranslator.readFailure($0, status: status) }
    }

    @Test("is read from any body")
    func bodies() {
        #expect(self.read("<html>", 502).kind == .server)
        #expect(self.read("", 503).kind == .overloaded)
        #expect(self.read("", 529).status == 503)
        #expect(
            self.read("{\"error\":{\"message\":\"prompt is too long: 9 tokens > 8 maximum\"}}", 400).kind
                == .contextWindow)
        #expect(self.read("{\"detail\":\"Unauthorized\"}", 401).message == "Unauthorized")
        #expect(self.read("{\"code\":\"x\",\"error\":\"Incorrect API key provided\"}", 400).status == 401)
        let gemini = """
            {"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"36.2s"}]}}
            """
        #expect(self.read(gemini, 429).retryAfterSeconds == 37)
        #expect(self.read("{\"error\":{\"code\":\"insufficient_quota\"}}", 429).kind == .quotaExceeded)
    }

    @Test("is written in every format", arguments: WireFormat.allCases)
    func written(format: WireFormat) {
        for kind in ProviderFailure.Kind.allCases {
            let failure = ProviderFailure(kind: kind, status: 400, message: "a \"b\"\n")
            let body = Generic(json: AnswerTranslator.errorBody(failure, as: format))
            let message = body["error"]["message"].string ?? body["message"].string ?? body["error"].string
            #expect(message == "a \"b\"\n")
        }
    }

    @Test("with status 200 is not taken for an answer")
    func inAnswer() throws {
        let outcome = try Translate.answer("{\"error\":{\"message\":\"no\",\"code\":429}}", .openAIChat, .anthropic)
        guard case .failure(let failure) = outcome else {
            Issue.record("taken for an answer")
            return
        }
        #expect(failure.kind == .rateLimited)
        for text in [
            "<html>", "[]", "{}", "{\"choices\":1}", "{\"choices\":[1]}",
            "{\"choices\":[{\"message\":{\"content\":3}}]}",
        ] {
            let error = #expect(throws: TranslationError.self) { try Translate.answer(text, .openAIChat, .anthropic) }
            #expect(error?.kind == .invalidAnswer)
        }
    }

    @Test("is read from every recording of one")
    func recorded() {
        for recorded in RecordedCase.all where recorded.status >= 400 {
            let failure = recorded.response.withUnsafeBytes {
                AnswerTranslator.readFailure($0, status: recorded.status)
            }
            #expect(failure.message != "The provider gave no message.", "\(recorded.testDescription)")
            #expect(failure.status >= 400)
        }
    }
}

@Suite("The coverage of recordings", .ownThread)
struct CoverageTests {
    @Test("is printed by provider")
    func printed() {
        let cases = Dictionary(grouping: RecordedCase.all, by: \.provider)
        if cases.isEmpty {
            FileHandle.standardError.write(Data("0 recordings: set MARTLET_FIXTURES to test with them\n".utf8))
        }
        for (provider, list) in cases.sorted(by: { $0.key < $1.key }) {
            let names = list.map(\.name).joined(separator: " ")
            FileHandle.standardError.write(Data("recordings of \(provider): \(list.count): \(names)\n".utf8))
        }
        #expect(cases.isEmpty || RecordedCase.all.count > 200)
    }
}
