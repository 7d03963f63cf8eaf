import Foundation
import GatewayTranslation
import GatewayWire
import TestSupport
import Testing

@Suite("A translated stream", .ownThread)
struct StreamTranslationTests {
    @Test("of Anthropic says the same in every format, whole and cut at every byte", arguments: WireFormat.allCases)
    func everyCut(target: WireFormat) {
        let bytes = Array(Translate.golden("anthropic-stream.txt").utf8)
        #expect(bytes.count > 2000)
        let sent = Facts(format: "anthropic", events: StreamCutting.events(bytes, framing: "events"))
        #expect(sent.calls.count == 2)
        let (whole, translator) = Translate.stream(bytes, .anthropic, target)
        RecordedAnswerTests.compare(sent, StreamRun.facts(whole, target), target, target.name)
        #expect(translator.usage?.tokenUsage.input == 17)
        #expect(translator.usage?.tokenUsage.output == 42)
        for cut in 1..<bytes.count {
            let pieces = StreamTranslator(from: .anthropic, to: target, options: RecordedAnswerTests.options)
            var output: [UInt8] = []
            bytes.withUnsafeBytes {
                pieces.feed(UnsafeRawBufferPointer(rebasing: $0[..<cut]), into: &output)
                pieces.feed(UnsafeRawBufferPointer(rebasing: $0[cut...]), into: &output)
            }
            pieces.finish(into: &output)
            if output != whole {
                Issue.record("cut at \(cut)")
                break
            }
        }
    }

    @Test("gives a delta out as soon as it is in", arguments: WireFormat.allCases)
    func incremental(target: WireFormat) {
        let text = Translate.golden("anthropic-stream.txt")
        let translator = StreamTranslator(from: .anthropic, to: target, options: RecordedAnswerTests.options)
        var output: [UInt8] = []
        let end = text.range(of: "Let me")!.upperBound
        let first = Array(text[..<text[end...].range(of: "\n\n")!.upperBound].utf8)
        first.withUnsafeBytes { translator.feed($0, into: &output) }
        #expect(String(decoding: output, as: UTF8.self).contains("Let me"))
    }

    @Test("with interleaved calls gives them one after another where blocks cannot interleave")
    func interleaved() {
        let bytes = Array(Translate.golden("chat-interleaved.txt").utf8)
        let sent = Facts(format: "chat", events: StreamCutting.events(bytes, framing: "events"))
        for target in WireFormat.allCases {
            let (output, _) = Translate.stream(bytes, .openAIChat, target)
            RecordedAnswerTests.compare(sent, StreamRun.facts(output, target), target, target.name)
        }
    }

    @Test("that is cut ends with an error in the caller's format", arguments: WireFormat.allCases)
    func cut(target: WireFormat) {
        let text = Translate.golden("anthropic-stream.txt")
        let bytes = Array(text[..<text.range(of: "event: message_delta")!.lowerBound].utf8)
        let (output, translator) = Translate.stream(bytes, .anthropic, target)
        #expect(translator.failure?.kind == .server)
        #expect(StreamRun.facts(output, target).error != nil, "\(String(decoding: output.suffix(200), as: UTF8.self))")
    }

    @Test(
        "of garbage is an error and never hangs or crashes",
        arguments: [
            "<html><body>502 Bad Gateway</body></html>", "data: {\"choices\":[{\"delta\":{\"content\":",
            "data: \u{FF}\n\n",
            "data: {\"choices\":7}\n\n", "data: []\n\n", "data: {\"choices\":[{\"delta\":{\"content\":{}}}]}\n\n",
            "{\"error\":{\"message\":\"no\"}}",
        ])
    func garbage(text: String) {
        for source in WireFormat.allCases {
            for target in WireFormat.allCases {
                let (_, translator) = Translate.stream(Array(text.utf8), source, target)
                #expect(translator.isFinished)
                #expect(translator.failure != nil, "\(source.name) to \(target.name)")
            }
        }
    }

    @Test(
        "whose error asks to wait beyond reason is passed on without the time",
        arguments: [("37s", 37), ("0.2s", 1), ("1e300s", nil), ("infs", nil), ("nans", nil), ("-5s", nil), ("s", nil)]
            as [(String, Int?)])
    func retryDelay(delay: String, seconds: Int?) {
        let body = """
            {"error":{"code":429,"message":"Slow","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"\(delay)"}]}}
            """
        let failure = Array(body.utf8).withUnsafeBytes { AnswerTranslator.readFailure($0, status: 429) }
        #expect(failure.kind == .rateLimited)
        #expect(failure.retryAfterSeconds == seconds)
    }

    @Test(
        "of Bedrock's invoke with a chunk that is none is an error",
        arguments: ["{}", "{\"bytes\":\"\"}", "{\"bytes\":\"e30\"}", "{\"bytes\":\"!!!!\"}", "{\"bytes\":7}", "[]", ""])
    func damagedChunk(payload: String) {
        var frame: [UInt8] = []
        Array(payload.utf8).withUnsafeBytes {
            AWSEventStream.append(kind: "event", type: "chunk", payload: $0, to: &frame)
        }
        let (output, translator) = Translate.stream(frame, .anthropic, .openAIChat, framing: .awsEventStream)
        #expect(translator.failure?.kind == .server)
        #expect(StreamRun.facts(output, .openAIChat).error != nil)
    }

    @Test("with bytes that are not UTF-8 is an error")
    func invalidUTF8() {
        let bytes = Array("data: {\"choices\":[{\"delta\":{\"content\":\"".utf8) + [0xFF] + Array("\"}}]}\n\n".utf8)
        let (output, translator) = Translate.stream(bytes, .openAIChat, .anthropic)
        #expect(translator.failure != nil)
        #expect(String(decoding: output, as: UTF8.self).contains("event: error"))
    }

    @Test("keeps half a surrogate pair as it was written")
    func loneSurrogate() {
        let bytes = Array(
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\ud83d\"},\"finish_reason\":\"stop\"}]}\n\n"
                .utf8)
        let (output, _) = Translate.stream(bytes, .openAIChat, .anthropic)
        #expect(String(decoding: output, as: UTF8.self).contains("a\\ud83d\""))
    }

    @Test("with an event or arguments beyond the bound is an error", arguments: [WireFormat.gemini, .ollama])
    func tooLarge(target: WireFormat) {
        var options = TranslationOptions()
        options.eventBytesMax = 1000
        let start =
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\n"
        let more =
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\(String(repeating: " ", count: 500))\"}}]}}]}\n\n"
        let (_, translator) = Translate.stream(Array((start + more + more).utf8), .openAIChat, target, options: options)
        #expect(translator.failure != nil)
        let huge = "data: {\"choices\":[{\"delta\":{\"content\":\"\(String(repeating: "x", count: 2000))\"}}]}\n\n"
        let (_, second) = Translate.stream(Array(huge.utf8), .openAIChat, target, options: options)
        #expect(second.failure != nil)
    }

    @Test("with an error in it passes the error on and stops")
    func error() {
        let text = """
            data: {"id":"x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}

            data: {"error":{"message":"overloaded","type":"overloaded_error"}}

            data: {"id":"x","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}]}


            """
        for target in WireFormat.allCases {
            let (output, translator) = Translate.stream(Array(text.utf8), .openAIChat, target)
            let facts = StreamRun.facts(output, target)
            #expect(facts.text == "a")
            #expect(facts.error == "overloaded", "\(target.name)")
            #expect(translator.failure?.kind == .overloaded)
        }
    }
}
