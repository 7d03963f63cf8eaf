import Glibc

// Measures what translation costs. Compiled by scripts/bench-translation with the sources of the codecs in one module.

/// CPU time of the process in nanoseconds.
func cpuNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The fastest of `rounds` runs of `body`, in microseconds for one of its `count` units.
func microseconds(rounds: Int, count: Int, _ body: () -> Void) -> Double {
    body()
    var best = Int64.max
    for _ in 0..<rounds {
        let start = cpuNanoseconds()
        body()
        best = min(best, cpuNanoseconds() - start)
    }
    return Double(best) / 1000 / Double(count)
}

func column(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
}

func decimal(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
}

/// Our own bodies, of a size that is usual.
enum Sample {
    static let words = "The quick brown fox jumps over the lazy dog and says \\\"hello\\\" twice.\\n"
    static let deltas = 400

    /// A stream of Anthropic's: one text in `deltas` pieces.
    static let anthropicStream: [UInt8] = {
        var text =
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","
        text +=
            "\"role\":\"assistant\",\"model\":\"claude\",\"content\":[],\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n"
        text += "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        text += "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        for index in 0..<deltas {
            text += "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
            text += "\"delta\":{\"type\":\"text_delta\",\"text\":\" word \(index) and\"}}\n\n"
        }
        text += "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        text += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
        text +=
            "\"stop_sequence\":null},\"usage\":{\"output_tokens\":400}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
        return Array(text.utf8)
    }()

    /// The same in every format, made by the translator.
    static func stream(_ format: WireFormat) -> [UInt8] {
        run(anthropicStream, .anthropic, format, pieceBytes: 4096)
    }

    static let chatRequest: [UInt8] = {
        var text = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"\(words)\"}"
        for _ in 0..<20 {
            text += ",{\"role\":\"user\",\"content\":\"\(String(repeating: words, count: 10))\"}"
            text += ",{\"role\":\"assistant\",\"content\":\"\(String(repeating: words, count: 10))\"}"
        }
        text += ",{\"role\":\"user\",\"content\":\"Go on.\"}],\"max_tokens\":100,\"temperature\":0.5}"
        return Array(text.utf8)
    }()

    static let chatAnswer: [UInt8] = Array(
        ("{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":"
            + "{\"role\":\"assistant\",\"content\":\"\(String(repeating: words, count: 25))\"},\"finish_reason\":\"stop\"}],"
            + "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":400,\"total_tokens\":410}}").utf8)

    static func request(_ format: WireFormat) -> [UInt8] {
        var options = TranslationOptions()
        options.dropsUnsupported = true
        let result = chatRequest.withUnsafeBytes {
            try? RequestTranslator.translate($0, from: .openAIChat, to: format, options: options)
        }
        return result?.body ?? []
    }

    static func answer(_ format: WireFormat) -> [UInt8] {
        let outcome = chatAnswer.withUnsafeBytes {
            try? AnswerTranslator.translate($0, from: .openAIChat, to: format, options: TranslationOptions())
        }
        guard case .answer(let answer)? = outcome else { return [] }
        return answer.body
    }
}

/// Feeds a stream as it comes off a socket, in pieces.
func run(_ stream: [UInt8], _ source: WireFormat, _ target: WireFormat, pieceBytes: Int) -> [UInt8] {
    let translator = StreamTranslator(from: source, to: target, options: TranslationOptions())
    var output: [UInt8] = []
    var all: [UInt8] = []
    stream.withUnsafeBytes { bytes in
        var position = 0
        while position < bytes.count {
            let end = min(position + pieceBytes, bytes.count)
            translator.feed(UnsafeRawBufferPointer(rebasing: bytes[position..<end]), into: &output)
            all += output
            output.removeAll(keepingCapacity: true)
            position = end
        }
    }
    translator.finish(into: &output)
    return all + output
}

let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 5
let formats = WireFormat.allCases
let short = ["chat", "responses", "anthropic", "gemini", "bedrock", "cohere", "ollama"]

func table(_ title: String, _ measure: (WireFormat, WireFormat) -> Double) {
    print("\n\(title)\n" + column("from \\ to", 12) + short.map { column($0, 11) }.joined())
    for (index, source) in formats.enumerated() {
        print(column(short[index], 12) + formats.map { column(decimal(measure(source, $0)), 11) }.joined())
    }
}

print("CPU microseconds, best of \(rounds) runs")
table("per streamed event (\(Sample.deltas) text deltas, read in pieces of 4 KiB)") { source, target in
    let stream = Sample.stream(source)
    return microseconds(rounds: rounds, count: Sample.deltas * 20) {
        for _ in 0..<20 { _ = run(stream, source, target, pieceBytes: 4096) }
    }
}
table("per request (\(Sample.chatRequest.count) bytes, 42 messages)") { source, target in
    let body = Sample.request(source)
    var options = TranslationOptions()
    options.dropsUnsupported = true
    return microseconds(rounds: rounds, count: 100) {
        for _ in 0..<100 {
            body.withUnsafeBytes {
                _ = try? RequestTranslator.translate($0, from: source, to: target, options: options)
            }
        }
    }
}
table("per answer (\(Sample.chatAnswer.count) bytes)") { source, target in
    let body = Sample.answer(source)
    return microseconds(rounds: rounds, count: 500) {
        for _ in 0..<500 {
            body.withUnsafeBytes {
                _ = try? AnswerTranslator.translate($0, from: source, to: target, options: TranslationOptions())
            }
        }
    }
}
