import GatewayWire
import TestSupport
import Testing

private func scan(_ text: String) -> Result<RequestScan, JSONFault> {
    withGuarded(text) { JSONScanner.scanRequest($0) }
}

private func fault(_ text: String) -> JSONFault? {
    guard case .failure(let fault) = scan(text) else { return nil }
    return fault
}

/// `count` arrays in one another.
private func nest(_ count: Int) -> String {
    String(repeating: "[", count: count) + String(repeating: "]", count: count)
}

@Suite("A scan of a request body", .ownThread)
struct RequestScanTests {
    @Test("finds the fields that the gateway acts on")
    func fields() throws {
        let text =
            #" { "model" : "gpt-4o" , "messages":[{"role":"user","content":"h\u00e9\n\ud83d\ude00"}],"stream":true,"#
            + #""stream_options":{"include_usage":true,"x":[1]},"max_tokens":5,"max_completion_tokens":7,"n":2,"#
            + #""user":"u-1","mock_response":{"a":[]},"other":[1,-2.5e3,null,false,{}]} "#
        try withGuarded(text) { bytes in
            let scan = try JSONScanner.scanRequest(bytes).get()
            #expect(bytes.text(scan.model) == "gpt-4o" && bytes.text(scan.modelToken) == "\"gpt-4o\"")
            #expect(!scan.modelHasEscapes && scan.stream && scan.includeUsage)
            #expect(bytes.text(scan.streamOptions) == #"{"include_usage":true,"x":[1]}"#)
            #expect(bytes.text(scan.includeUsageToken) == "true" && scan.streamOptionsFieldCount == 2)
            #expect(scan.maxTokens == 7 && scan.choiceCount == 2)
            #expect(bytes.text(scan.user) == "u-1")
            #expect(bytes.text(scan.mockResponse) == #"{"a":[]}"#)
            #expect(scan.topLevelFieldCount == 10)
            #expect(scan.objectEnd == bytes.count - 2 && bytes[scan.objectEnd] == UInt8(ascii: "}"))
            // "user", "hé\n😀", "u-1"
            #expect(scan.inputTextBytes == 4 + 8 + 3)
        }
    }

    @Test(
        "takes absent and null fields for their defaults",
        arguments: [
            "{}", #"{"stream":null,"stream_options":null,"max_tokens":null,"n":null,"user":null,"mock_response":null}"#,
            #"{"max_tokens":-1,"user":7}"#, #"{"user":"a\tb"}"#, #"{"stream":false,"stream_options":{}}"#,
        ])
    func defaults(text: String) throws {
        let scan = try scan(text).get()
        #expect(scan.model.isEmpty && !scan.stream && !scan.includeUsage && scan.maxTokens == -1)
        #expect(scan.choiceCount == 1 && scan.user.isEmpty && scan.mockResponse.isEmpty)
    }

    @Test(
        "sees through escapes in names",
        arguments: [
            #"{"model":"a\/b"}"#, #"{"mod\u0065l":"a\/b"}"#, #"{"\u006dodel":"a\/b"}"#,
        ])
    func escapedNames(text: String) throws {
        try withGuarded(text) { bytes in
            let scan = try JSONScanner.scanRequest(bytes).get()
            #expect(bytes.text(scan.model) == #"a\/b"# && scan.modelHasEscapes)
        }
    }

    static let refusedFields: [(String, JSONFault)] = [
        (#"{"model":"a","model":"a"}"#, .duplicateField(.model)),
        (#"{"model":"a","mod\u0065l":"b"}"#, .duplicateField(.model)),
        (#"{"stream":true,"stream":false}"#, .duplicateField(.stream)),
        (#"{"stream_options":null,"stream_options":{}}"#, .duplicateField(.streamOptions)),
        (#"{"stream_options":{"include_usage":true,"include_usage":false}}"#, .duplicateField(.includeUsage)),
        (#"{"n":1,"n":1}"#, .duplicateField(.choiceCount)), (#"{"user":1,"user":1}"#, .duplicateField(.user)),
        (#"{"max_tokens":1,"max_tokens":1}"#, .duplicateField(.maxTokens)),
        (#"{"max_completion_tokens":1,"max_completion_tokens":1}"#, .duplicateField(.maxCompletionTokens)),
        (#"{"mock_response":1,"mock_response":1}"#, .duplicateField(.mockResponse)),
        (#"{"Model":"a"}"#, .ambiguousField(.model)), (#"{"model":"a","MODEL":"b"}"#, .ambiguousField(.model)),
        (#"{"\u004dodel":"a"}"#, .ambiguousField(.model)), ("{\"\u{17F}tream\":true}", .ambiguousField(.stream)),
        (#"{"\u017ftream":true}"#, .ambiguousField(.stream)),
        ("{\"max_to\u{212A}ens\":1}", .ambiguousField(.maxTokens)), (#"{"N":1}"#, .ambiguousField(.choiceCount)),
        (#"{"stream_options":{"Include_Usage":true}}"#, .ambiguousField(.includeUsage)),
        (#"{"model":1}"#, .wrongType(.model)), (#"{"model":null}"#, .wrongType(.model)),
        (#"{"stream":"true"}"#, .wrongType(.stream)), (#"{"stream":1}"#, .wrongType(.stream)),
        (#"{"stream_options":[]}"#, .wrongType(.streamOptions)),
        (#"{"stream_options":{"include_usage":1}}"#, .wrongType(.includeUsage)),
        (#"{"max_tokens":"5"}"#, .wrongType(.maxTokens)), (#"{"max_tokens":1.5}"#, .wrongType(.maxTokens)),
        (#"{"max_tokens":1e3}"#, .wrongType(.maxTokens)),
        (#"{"max_completion_tokens":9007199254740993}"#, .wrongType(.maxCompletionTokens)),
        (#"{"n":0}"#, .wrongType(.choiceCount)), (#"{"n":-1}"#, .wrongType(.choiceCount)),
    ]

    @Test("refuses fields that could be read in two ways, and names them", arguments: refusedFields)
    func fieldFaults(text: String, expected: JSONFault) {
        #expect(fault(text) == expected)
        #expect(expected.param.map { expected.message.contains($0) } == true)
    }

    static let malformed: [(String, JSONFault)] = [
        ("", .truncated), (" ", .truncated), ("{", .truncated), (#"{"a"#, .truncated), (#"{"a":1"#, .truncated),
        ("[]", .notAnObject), ("1", .notAnObject), ("\"a\"", .notAnObject), ("x", .malformed(offset: 0)),
        ("{}x", .trailingBytes(offset: 2)), ("{} {}", .trailingBytes(offset: 3)), ("{}\0", .trailingBytes(offset: 2)),
        ("{,}", .malformed(offset: 1)), (#"{"a":1,}"#, .malformed(offset: 7)), (#"{"a" 1}"#, .malformed(offset: 5)),
        (#"{"a":1 "b":2}"#, .malformed(offset: 7)), (#"{a:1}"#, .malformed(offset: 1)),
        (#"{"a":[1,]}"#, .malformed(offset: 8)), (#"{"a":[1 2]}"#, .malformed(offset: 8)),
        (#"{"a":[}]}"#, .malformed(offset: 6)), (#"{"a":{]}"#, .malformed(offset: 6)),
        (#"{"a":[1}"#, .malformed(offset: 7)),
        (#"{"a":{"b":1]"#, .malformed(offset: 11)), (#"{"a":{"b":1,}}"#, .malformed(offset: 12)),
        (#"{"a":01}"#, .malformed(offset: 6)), (#"{"a":-}"#, .malformed(offset: 6)),
        (#"{"a":1.}"#, .malformed(offset: 7)),
        (#"{"a":.5}"#, .malformed(offset: 5)), (#"{"a":1e}"#, .malformed(offset: 7)),
        (#"{"a":+1}"#, .malformed(offset: 5)),
        (#"{"a":1e+}"#, .malformed(offset: 8)), (#"{"a":NaN}"#, .malformed(offset: 5)),
        (#"{"a":tru}"#, .malformed(offset: 5)),
        (#"{"a":True}"#, .malformed(offset: 5)), (#"{"a":nullx}"#, .malformed(offset: 9)),
        (#"{"a":"\x"}"#, .malformed(offset: 6)), (#"{"a":"\u12g4"}"#, .malformed(offset: 6)),
        ("{\"a\":\"\n\"}", .malformed(offset: 6)), ("{\"a\":\"\0\"}", .malformed(offset: 6)),
        ("\u{FEFF}{}", .malformed(offset: 0)), ("{\u{A0}}", .malformed(offset: 1)), ("{'a':1}", .malformed(offset: 1)),
        (#"{"a":/**/1}"#, .malformed(offset: 5)), (#"{"stream_options":{"a":1 "b":1}}"#, .malformed(offset: 25)),
        (#"{"stream_options":{"a":1,}}"#, .malformed(offset: 25)),
    ]

    @Test("refuses what is not JSON and says where", arguments: malformed)
    func malformedBodies(text: String, expected: JSONFault) {
        #expect(fault(text) == expected)
        #expect(expected.param == nil && !expected.message.isEmpty)
    }

    static let badUTF8: [[UInt8]] = [
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
        [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xF0, 0x80, 0x80, 0x80],
        [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF0, 0x9F, 0x98], [0xFF],
        [0xFE],
    ]

    @Test("refuses text that is not UTF-8", arguments: badUTF8)
    func invalidUTF8(bad: [UInt8]) {
        for padding in 0..<20 {
            let prefix = Array(#"{"a":""#.utf8) + Array(repeating: UInt8(ascii: "x"), count: padding)
            let bytes = prefix + bad + Array("\"}".utf8)
            let result = withGuarded(bytes) { JSONScanner.scanRequest($0) }
            guard case .failure(.invalidUTF8(let offset)) = result else {
                Issue.record("\(bad) after \(padding): \(result)")
                return
            }
            #expect(offset == prefix.count)
        }
    }

    @Test("accepts every character of Unicode")
    func allCharacters() throws {
        var text = ""
        for value in 0x20...0x10FFFF as ClosedRange<UInt32> {
            guard let scalar = Unicode.Scalar(value), scalar != "\"", scalar != "\\" else { continue }
            text.unicodeScalars.append(scalar)
        }
        let scan = try scan("{\"a\":\"\(text)\"}").get()
        #expect(scan.inputTextBytes == text.utf8.count)
    }

    @Test("stops at the nesting bound, whatever comes behind")
    func depth() {
        #expect(fault("{\"a\":\(nest(127))}") == nil)
        #expect(fault("{\"a\":\(nest(128))}") == .tooDeep(offset: 5 + 127))
        #expect(fault("{\"a\":" + String(repeating: "[", count: 1_000_000)) == .tooDeep(offset: 5 + 127))
        #expect(fault("{\"stream_options\":{\"a\":\(nest(126))}}") == nil)
        #expect(fault("{\"stream_options\":{\"a\":\(nest(127))}}") == .tooDeep(offset: 23 + 126))
    }

    @Test("of a body cut anywhere fails and never reads behind it")
    func cuts() {
        let text =
            #"{"model":"gpt","a":"é\u00e9 long enough for the wide path","b":[1.5e-3,true,{"c":null}],"stream":false,"#
            + #""stream_options":{"include_usage":false},"n":1}"#
        let bytes = Array(text.utf8)
        for count in 0..<bytes.count {
            guard case .failure = withGuarded(bytes[..<count], { JSONScanner.scanRequest($0) }) else {
                Issue.record("cut at \(count) passes")
                return
            }
        }
        #expect(fault(text) == nil)
    }

    @Test("finds the stop of a string at every offset of every length")
    func stringStops() {
        for count in 0..<100 {
            for position in 0..<count {
                var content = Array(repeating: UInt8(ascii: "x"), count: count)
                content[position] = 0x1F
                let bytes = Array(#"{"a":""#.utf8) + content + Array("\"}".utf8)
                let result = withGuarded(bytes) { JSONScanner.scanRequest($0) }
                guard case .failure(.malformed(6 + position)) = result else {
                    Issue.record("\(count), \(position): \(result)")
                    return
                }
            }
        }
    }
}
