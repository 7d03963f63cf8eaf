import Foundation
import GatewayTranslation
import GatewayWire
import TestSupport
import Testing

/// Every recorded answer, brought into every format, says the same as what the provider sent.
@Suite("A recorded answer", .ownThread)
struct RecordedAnswerTests {
    static let formats = WireFormat.allCases
    static let options: TranslationOptions = {
        var options = TranslationOptions()
        options.includesUsage = true
        options.now = 1_700_000_000
        options.seed = 7
        return options
    }()

    /// What a format has no place for.
    static func inexpressible(_ target: WireFormat) -> Set<String> {
        switch target {
        case .openAIChat: []
        case .openAIResponses: []
        case .anthropic: ["images", "refusal"]
        case .gemini: ["refusal", "written"]
        case .bedrock: ["images", "refusal", "reasoning tokens"]
        case .cohere: ["images", "refusal", "written"]
        case .ollama: ["images", "refusal", "written", "cached"]
        }
    }

    @Test("says the same in every format", arguments: RecordedCase.all.filter { !$0.isStream && $0.status == 200 })
    func bodies(recorded: RecordedCase) throws {
        for target in Self.formats {
            let outcome = try recorded.response.withUnsafeBytes {
                try AnswerTranslator.translate($0, from: recorded.format, to: target, options: Self.options)
            }
            switch outcome {
            case .answer(let answer):
                let facts = Facts(format: target.factName, body: Generic(json: answer.body))
                Self.compare(recorded.facts, facts, target, "\(recorded.testDescription) to \(target.factName)")
            case .failure(let failure): #expect(recorded.facts.error != nil, "\(failure)")
            }
        }
    }

    static func compare(_ sent: Facts, _ got: Facts, _ target: WireFormat, _ label: String) {
        var sent = sent
        var got = got
        let lacks = self.inexpressible(target)
        // A refusal is text where there is no place of its own for it.
        if lacks.contains("refusal") {
            sent.text += sent.refusal
            got.text += got.refusal
        }
        if target == .bedrock || target == .ollama {
            sent.usage?["reasoning"] = nil
            got.usage?["reasoning"] = nil
        }
        if sent.usage == nil { got.usage = nil }
        // An answer that failed has no reason to stop; one that the provider gave as a number is not known.
        if sent.finish == nil || sent.error != nil && got.error != nil { (sent.finish, got.finish) = (nil, nil) }
        let differences = sent.differences(from: got, ignoring: lacks)
        #expect(differences.isEmpty, "\(label): \(differences.joined(separator: "; "))")
    }

    @Test(
        "comes back field by field where the format is the same",
        arguments: RecordedCase.all.filter { !$0.isStream && $0.status == 200 })
    func roundTrip(recorded: RecordedCase) throws {
        let outcome = try recorded.response.withUnsafeBytes {
            try AnswerTranslator.translate($0, from: recorded.format, to: recorded.format, options: Self.options)
        }
        guard case .answer(let answer) = outcome else { return }
        let sent = Generic(json: recorded.response)
        let differences = JSONDifference.between(sent.value, Generic(json: answer.body).value).filter { difference in
            // Brought into OpenAI's shape: parts as text and reasoning, calls with a type, reasons by OpenAI's names.
            !(recorded.format == .openAIChat && Self.normalised.contains { difference.hasPrefix($0) })
        }
        #expect(differences.isEmpty, "\(recorded.testDescription): \(differences.joined(separator: "; "))")
    }

    private static let normalised = [
        ".choices[].message.tool_calls[].type", ".choices[].finish_reason", ".choices[].native_finish_reason",
        ".choices[].message.reasoning_content: absent", ".choices[].message.content: (",
        ".choices[].message.content: absent",
        // A prompt that was blocked has no message; clients want one.
        ".choices[].message: absent",
    ]

    @Test(
        "is the same event by event in every format",
        arguments: RecordedCase.all.filter { $0.isStream && $0.status == 200 })
    func streams(recorded: RecordedCase) {
        for target in Self.formats {
            let output = StreamRun.translate(recorded, to: target)
            let facts = StreamRun.facts(output, target)
            Self.compare(recorded.facts, facts, target, "\(recorded.testDescription) to \(target.factName)")
        }
    }

    @Test(
        "is the same however its bytes arrive", arguments: RecordedCase.all.filter { $0.isStream && $0.status == 200 })
    func pieces(recorded: RecordedCase) {
        for target in Self.formats {
            let whole = StreamRun.translate(recorded, to: target)
            #expect(StreamRun.translate(recorded, to: target, pieces: 1) == whole, "one byte at a time")
            // Pieces of a size, the first one shorter each time: after `size` runs every byte has been a cut, alone
            // within as many bytes, which is more than most events have. Cutting in two for each byte would take hours.
            let size = target == .openAIChat ? 256 : 32
            for first in 1...size {
                let output = StreamRun.translate(recorded, to: target, pieces: size, first: first)
                #expect(output == whole, "\(target.factName) in pieces of \(first), then \(size) bytes")
                if output != whole { break }
            }
        }
    }
}

/// Runs a recorded stream through a translator.
enum StreamRun {
    /// - Parameters:
    ///   - pieces: size of the pieces that the bytes come in. `nil`: all at once.
    ///   - first: size of the first piece. `nil`: as the others.
    static func translate(
        _ recorded: RecordedCase, to target: WireFormat, pieces: Int? = nil, first: Int? = nil
    ) -> [UInt8] {
        let translator = StreamTranslator(
            from: recorded.format, to: target, options: RecordedAnswerTests.options, framing: recorded.framing)
        var output: [UInt8] = []
        recorded.response.withUnsafeBytes { bytes in
            guard let pieces else { return translator.feed(bytes, into: &output) }
            var position = 0
            var size = first ?? pieces
            while position < bytes.count {
                let end = min(position + size, bytes.count)
                translator.feed(UnsafeRawBufferPointer(rebasing: bytes[position..<end]), into: &output)
                position = end
                size = pieces
            }
        }
        translator.finish(into: &output)
        return output
    }

    static func facts(_ output: [UInt8], _ target: WireFormat) -> Facts {
        let framing = target == .bedrock ? "frames" : target == .ollama ? "lines" : "events"
        return Facts(format: target.factName, events: StreamCutting.events(output, framing: framing))
    }
}
