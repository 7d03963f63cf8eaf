import Foundation
import GatewayWire
import TestSupport
import Testing

/// Everything that a scanner says of a stream.
private struct Reading: Equatable {
    var events: [EventStreamScanner.Event] = []
    /// End of each event, from the start of the stream.
    var ends: [Int] = []
    var last: EventStreamScanner.Event?
    var fault: EventStreamFault?
    var usage: ReportedUsage?
    var contentBytes = 0
    var sawDone = false
    var sawFinish = false
    var eventCount = 0
}

private func read(_ bytes: [UInt8], cuts: [Int] = [], eventBytesMax: Int = 1 << 20) -> Reading {
    var scanner = EventStreamScanner(eventBytesMax: eventBytesMax)
    var reading = Reading()
    for (start, end) in zip([0] + cuts, cuts + [bytes.count]) {
        withGuarded(bytes[start..<end]) { piece in
            let fault = scanner.feed(piece) { event, offset in
                reading.events.append(event)
                // An event that is cut within its last CR LF ends before the LF, as nothing says that one will come.
                let isCut = start + offset < bytes.count && bytes[start + offset - 1] == 0x0D
                reading.ends.append(start + offset + (isCut && bytes[start + offset] == 0x0A ? 1 : 0))
            }
            if let fault { reading.fault = fault }
        }
    }
    reading.last = scanner.finish()
    reading.usage = scanner.lastUsage
    reading.contentBytes = scanner.contentBytesTotal
    reading.sawDone = scanner.sawDone
    reading.sawFinish = scanner.sawFinish
    reading.eventCount = scanner.eventCount
    return reading
}

private func read(_ text: String, cuts: [Int] = []) -> Reading { read(Array(text.utf8), cuts: cuts) }

private func chunk(_ delta: String, finish: String = "null", rest: String = "") -> String {
    #"{"id":"c","choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]\#(rest)}"#
}

private let sample =
    ": comment\n\ndata: \(chunk(#"{"role":"assistant","content":""}"#))\n\n"
    + "data: \(chunk(#"{"content":"Hi"}"#))\n\ndata: \(chunk(#"{"content":"\n\u00e9"}"#))\n\n"
    + "data: \(chunk(#"{"content":" \"there\""}"#))\n\ndata:\(chunk("{}", finish: #""stop""#))\n\n"
    + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"total_tokens\":8}}\n\n"
    + "data: [DONE]\n\n"

@Suite("An event stream", .ownThread)
struct EventStreamTests {
    @Test("tells what each event is")
    func events() {
        let reading = read(sample)
        #expect(reading.events.map(\.kind) == [.comment, .chunk, .chunk, .chunk, .chunk, .chunk, .chunk, .done])
        #expect(reading.events.map(\.contentBytes) == [0, 0, 2, 3, 8, 0, 0, 0])
        #expect(reading.events.map(\.hasFinishReason) == [false, false, false, false, false, true, false, false])
        #expect(reading.events.map(\.isUsageOnly) == [false, false, false, false, false, false, true, false])
        #expect(reading.usage?.totalTokens == 8 && reading.contentBytes == 13 && reading.eventCount == 7)
        #expect(reading.sawDone && reading.sawFinish && reading.last == nil && reading.fault == nil)
        #expect(reading.ends.last == sample.utf8.count)
    }

    static let streams = [
        sample, sample.replacing("\n", with: "\r\n"), "\u{FEFF}" + sample,
        "data: {\"a\":\ndata: 1}\n\n", "event: error\ndata: {\"message\":\"x\"}\n\n", "data\n\n", "data:\n\n", "\n\n\n",
        "id: 1\nretry: 5\n\n", "data: [DONE]", "data: {\"error\":{\"code\":1},\"choices\":[]}\n\ndata: x\n\n",
        "datax: 1\ndata : 2\n\n", ":\n:\ndata: {}\n\n", sample + "data: {\"cut",
    ]

    @Test("reads the same however it is cut in three", arguments: streams)
    func splits(text: String) {
        let bytes = Array(text.utf8)
        let whole = read(bytes)
        let steps = bytes.count > 200 ? 97 : 1
        for first in stride(from: 0, through: bytes.count, by: steps > 1 ? 3 : 1) {
            for second in stride(from: first, through: bytes.count, by: steps) {
                let reading = read(bytes, cuts: [first, second])
                guard reading == whole else {
                    Issue.record("cut at \(first) and \(second): \(reading), whole: \(whole)")
                    return
                }
            }
        }
        #expect(read(bytes, cuts: Array(1..<max(bytes.count, 1))) == whole, "byte by byte")
    }

    @Test("with CR line ends gives the same events however it is cut")
    func carriageReturns() {
        let expected = read(sample)
        for text in [sample.replacing("\n", with: "\r"), sample.replacing("\n\n", with: "\r\n\r")] {
            let bytes = Array(text.utf8)
            for cut in 0...bytes.count {
                let reading = read(bytes, cuts: [cut])
                #expect(reading.events == expected.events && reading.usage == expected.usage, "cut at \(cut)")
            }
        }
        let crlf = Array(sample.replacing("\n", with: "\r\n").utf8)
        for cut in 0...crlf.count { #expect(read(crlf, cuts: [cut]).events == expected.events, "cut at \(cut)") }
    }

    @Test(
        "joins data lines, ignores unknown fields and names errors",
        arguments: [
            ("data: {\"choices\":[],\ndata: \"usage\":{\"total_tokens\":4}}\n\n", EventStreamScanner.Kind.chunk),
            ("event: error\ndata: {\"message\":\"x\"}\n\n", .error), ("event:error\ndata: oops\n\n", .error),
            ("data: {\"error\":{\"message\":\"x\"}}\n\n", .error), ("data: {\"error\":null}\n\n", .chunk),
            ("data: oops\n\n", .other), ("data: [1]\n\n", .other), ("id: 3\n\n", .other), (": ping\n\n", .comment),
            ("\n", .comment), ("data: [DONE] \n\n", .done), ("data:[DONE]\n\n", .done),
            ("\u{FEFF}data: [DONE]\n\n", .done),
            ("data: \u{FEFF}{}\n\n", .other),
        ])
    func kinds(text: String, kind: EventStreamScanner.Kind) {
        let reading = read(text)
        #expect(reading.events.map(\.kind) == [kind])
        #expect(reading.usage?.totalTokens == (text.contains("total_tokens") ? 4 : nil))
    }

    @Test(
        "ends with an event whose blank line is missing",
        arguments: ["data: [DONE]", "data: [DONE]\n", "data: [DONE]\r\n"])
    func unfinished(text: String) {
        let reading = read("data: {}\n\n" + text)
        #expect(reading.events.map(\.kind) == [.chunk] && reading.last?.kind == .done && reading.sawDone)
    }

    @Test(
        "takes usage from wherever providers put it",
        arguments: [
            chunk("{}", finish: #""stop""#, rest: #","usage":{"total_tokens":4}"#),
            chunk("{}", rest: #","x_groq":{"id":"r","usage":{"total_tokens":4}}"#),
            #"{"choices":[{"index":0,"delta":{},"usage":{"total_tokens":4}}]}"#,
        ])
    func usagePlaces(data: String) {
        let reading = read("data: \(chunk("{}", rest: #","usage":null"#))\n\ndata: \(data)\n\n")
        #expect(reading.usage?.totalTokens == 4 && reading.events.last?.isUsageOnly == false)
    }

    @Test("judges an event the same whatever came before it")
    func independence() {
        let named = "event: error\ndata: \(chunk(#"{"content":"a"}"#))\n\n"
        #expect(read(named + named + named).events.map(\.kind) == [.error, .error, .error])
        let marked = "\u{FEFF}data: \(chunk(#"{"content":"a"}"#))\n\n"
        #expect(read(marked + marked + marked).events.map(\.kind) == [.chunk, .other, .other])
        let joined = "\u{FEFF}data: {\"a\":\ndata: 1}\n\n"
        #expect(read(joined + joined).events.map(\.kind) == [.chunk, .other])
        let finished = "data: \(chunk(#"{"content":"b"}"#, finish: #""stop""#))\n\n"
        let plain = "data: \(chunk(#"{"content":"b"}"#))\n\n"
        #expect(read(plain + finished + plain + finished).events.map(\.hasFinishReason) == [false, true, false, true])
    }

    @Test("keeps to its bound, however it is cut")
    func bounded() {
        let event = Array("data: 0123456789\n\n".utf8)
        for cut in 0...event.count {
            #expect(read(event, cuts: [cut], eventBytesMax: 18).events.count == 1)
            let reading = read(event, cuts: [cut], eventBytesMax: 17)
            #expect(reading.fault == .eventTooLarge && reading.events.isEmpty && reading.last == nil)
        }
        #expect(read(Array(repeating: 0x41, count: 100), eventBytesMax: 50).fault == .eventTooLarge)
    }

    @Test("with damage is read within its bytes, and the same whole as in pieces", arguments: [1, 2, 3] as [UInt64])
    func damaged(seed: UInt64) {
        var generator = JSONGenerator(random: WireRandom(seed: seed))
        let padded =
            sample
            + (0..<6).map { index in
                let padding = #","obfuscation":"\#(String(repeating: "p", count: index))""#
                return "data: \(chunk(#"{"content":"x\#(index)"}"#, rest: padding))\n\n"
            }.joined()
        for round in 0..<400 {
            var bytes = Array(padded.utf8)
            generator.mutate(&bytes)
            let whole = read(bytes)
            let cut = Int.random(in: 0...bytes.count, using: &generator.random)
            guard read(bytes, cuts: [cut]) == whole else {
                Issue.record("seed \(seed), round \(round), cut at \(cut): \(Data(bytes).base64EncodedString())")
                return
            }
            if round % 8 == 0 {
                let single = read(bytes, cuts: Array(1..<max(bytes.count, 1)))
                #expect(single == whole, "seed \(seed), round \(round), byte by byte")
            }
        }
    }

    @Test("as recorded gives what a plain reader with Foundation gives")
    func recordings() {
        let files = RecordedTraffic.files(named: "response.sse")
        for file in files {
            let bytes = RecordedTraffic.bytes(file)
            let expected = PlainReading(bytes)
            let reading = read(bytes)
            var events = reading.events
            if let last = reading.last { events.append(last) }
            #expect(reading.fault == nil)
            #expect(events.filter { $0.kind != .comment }.count == expected.dataCount, "\(file)")
            #expect(reading.sawDone == expected.sawDone && reading.sawFinish == expected.sawFinish, "\(file)")
            #expect(reading.usage?.totalTokens == expected.totalTokens, "\(file)")
            #expect(reading.contentBytes == expected.contentBytes, "\(file)")
            for size in [1, 7, 100, 1000] {
                let cuts = Array(stride(from: size, to: bytes.count, by: size))
                #expect(read(bytes, cuts: cuts) == reading, "\(file) in pieces of \(size)")
            }
        }
        print("recorded streams compared: \(files.count)")
    }
}

/// The same facts found slowly, with strings and Foundation.
private struct PlainReading {
    var dataCount = 0
    var sawDone = false
    var sawFinish = false
    var totalTokens: Int64?
    var contentBytes = 0

    init(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self).replacing("\r\n", with: "\n")
        for block in text.components(separatedBy: "\n\n") {
            let lines = block.components(separatedBy: "\n").filter { !$0.isEmpty && !$0.hasPrefix(":") }
            if lines.isEmpty { continue }
            self.dataCount += 1
            let data = lines.filter { $0.hasPrefix("data:") }.map { $0.dropFirst(5).drop { $0 == " " } }.joined(
                separator: "\n")
            if data.hasPrefix("[DONE]") { self.sawDone = true }
            if let object = try? JSONSerialization.jsonObject(with: Data(data.utf8)) as? [String: Any] {
                self.add(object)
            }
        }
    }

    private mutating func add(_ object: [String: Any]) {
        let choices = object["choices"] as? [[String: Any]] ?? []
        let usages = [object, object["x_groq"] as? [String: Any] ?? [:]] + choices
        for usage in usages.reversed().compactMap({ $0["usage"] as? [String: Any] }) {
            if usage["prompt_tokens"] != nil { self.totalTokens = (usage["total_tokens"] as? NSNumber)?.int64Value }
        }
        for choice in choices {
            if choice["finish_reason"] is String { self.sawFinish = true }
            if let text = choice["text"] as? String { self.contentBytes += text.utf8.count }
            guard let delta = choice["delta"] as? [String: Any] else { continue }
            for key in ["content", "reasoning_content", "reasoning", "refusal"] {
                self.contentBytes += (delta[key] as? String)?.utf8.count ?? Self.text(delta[key])
            }
            for call in delta["tool_calls"] as? [[String: Any]] ?? [] {
                let function = call["function"] as? [String: Any]
                self.contentBytes += (function?["arguments"] as? String)?.utf8.count ?? 0
            }
            let function = delta["function_call"] as? [String: Any]
            self.contentBytes += (function?["arguments"] as? String)?.utf8.count ?? 0
        }
    }

    private static func text(_ value: Any?) -> Int {
        if let parts = value as? [Any] { return parts.map { Self.text($0) }.reduce(0, +) }
        guard let part = value as? [String: Any] else { return 0 }
        return part.map { $0.key == "text" ? (($0.value as? String)?.utf8.count ?? 0) : Self.text($0.value) }.reduce(
            0, +)
    }
}
