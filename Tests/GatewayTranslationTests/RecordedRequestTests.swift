import Foundation
import GatewayTranslation
import GatewayWire
import Synchronization
import TestSupport
import Testing

/// Every recorded request, brought into every format, asks for the same, or is refused by name.
@Suite("A recorded request", .ownThread)
struct RecordedRequestTests {
    static let cases = RecordedCase.all.filter { $0.request != nil && $0.status == 200 }

    static func options(_ target: WireFormat, _ model: String) -> TranslationOptions {
        var options = TranslationOptions()
        options.dropsUnsupported = true
        options.seed = 3
        options.outputTokensMax = 8192
        options.traits = ModelTraits(format: target, model: model)
        return options
    }

    @Test("asks for the same in every format", arguments: Self.cases)
    func translated(recorded: RecordedCase) throws {
        guard let request = recorded.request else { return }
        for target in WireFormat.allCases {
            let label = "\(recorded.testDescription) to \(target.factName)"
            let isForeign = recorded.format != target
            let asked = RequestFacts(
                format: recorded.format.factName, body: Generic(json: request),
                countsLateSystemAsSaid: isForeign && [.anthropic, .bedrock, .gemini].contains(target))
            do {
                let translated = try request.withUnsafeBytes {
                    try RequestTranslator.translate(
                        $0, from: recorded.format, to: target, options: Self.options(target, "model"))
                }
                let body = Generic(json: translated.body)
                #expect(
                    body.exists, "\(label) is no JSON: \(String(decoding: translated.body.prefix(300), as: UTF8.self))")
                var got = RequestFacts(format: target.factName, body: body)
                // A conversation that begins with the model gets a word of the user's before it.
                if isForeign, got.said.hasPrefix("."), !asked.said.hasPrefix(".") { got.said.removeFirst() }
                let lacks = Self.inexpressible(recorded, target, asked, translated)
                let differences = asked.differences(from: got, ignoring: lacks)
                #expect(differences.isEmpty, "\(label): \(differences.joined(separator: "; "))")
            } catch let error as TranslationError {
                // Content that has no place is refused; parameters are not, since drop_params is set.
                #expect(error.kind == .unsupported, "\(label): \(error.message)")
                #expect(error.param == "messages", "\(label): \(error.message)")
            }
        }
    }

    /// What a format has no place for, or says by other means.
    private static func inexpressible(
        _ recorded: RecordedCase, _ target: WireFormat, _ asked: RequestFacts, _ translated: TranslatedRequest
    ) -> Set<String> {
        var lacks: Set<String> = []
        if recorded.format != target {
            // A missing choice and "auto" are the same; parallel calls may need a choice written.
            if asked.choice == nil || asked.choice == "auto" { lacks.insert("choice") }
            // Calls that are forbidden need no tools.
            if asked.choice == "none", target == .bedrock || target == .ollama {
                lacks.formUnion(["tools", "parameters", "choice"])
            }
            if target == .cohere || target == .ollama { lacks.insert("choice") }
            if target == .anthropic, asked.maxTokens == nil { lacks.insert("max tokens") }
            if target == .anthropic || target == .bedrock, asked.temperature ?? 0 > 1 { lacks.insert("temperature") }
            if target == .openAIResponses { lacks.insert("stop") }
            if asked.tools.isEmpty { lacks.insert("choice") }
        }
        for field in translated.dropped {
            if field.hasPrefix("tool_choice") || field.hasPrefix("tools") { lacks.insert("choice") }
            if field == "temperature" { lacks.insert("temperature") }
        }
        // Texts become one, each on its own line.
        if target == .ollama { lacks.insert("space") }
        if target == .anthropic || target == .bedrock, asked.said.isEmpty { lacks.insert("said") }
        return lacks
    }

    @Test("comes back field by field where the format is the same", arguments: Self.cases)
    func roundTrip(recorded: RecordedCase) throws {
        guard let request = recorded.request else { return }
        var options = TranslationOptions()
        if recorded.provider == "mistral" { options.quirks = .named("mistral") }
        options.quirks.changes = [:]
        let translated = try request.withUnsafeBytes {
            try RequestTranslator.translate($0, from: recorded.format, to: recorded.format, options: options)
        }
        let differences = JSONDifference.between(
            Generic(json: request).value, Generic(json: translated.body).value, ignoring: [".stream_options", "snake"]
        ).filter { difference in
            !Self.normalised.contains { difference.hasPrefix($0) }
        }
        #expect(differences.isEmpty, "\(recorded.testDescription): \(differences.joined(separator: "; "))")
    }
}

extension RecordedRequestTests {
    /// What comes back another way and means the same.
    private static let normalised = [
        // A message of calls alone.
        ".messages[].content: absent | <null>", ".messages[].content: (\n) | <null>",
        // Functions are the only kind of tool that Mistral leaves without a type; an empty list is none.
        ".tools[].type: absent | function", ".tools: [] | absent",
        // Instructions have no speaker, and are a list.
        ".systemInstruction.role: ", ".systemInstruction.parts: {",
        // Mistral's thinking goes where all others have it.
        ".messages[].content: 2 | 1 elements", ".messages[].reasoning_content: absent",
    ]
}

/// Where two JSON values differ.
enum JSONDifference {
    static func between(_ a: Any?, _ b: Any?, path: String = "", ignoring: Set<String> = []) -> [String] {
        if ignoring.contains(path) { return [] }
        switch (a, b) {
        case (let a as [String: Any], let b as [String: Any]):
            let left = Dictionary(a.map { (self.camel($0.key, ignoring), $0.value) }, uniquingKeysWith: { x, _ in x })
            let right = Dictionary(b.map { (self.camel($0.key, ignoring), $0.value) }, uniquingKeysWith: { x, _ in x })
            return Set(left.keys).union(right.keys).sorted().flatMap { key in
                self.between(left[key], right[key], path: path + "." + key, ignoring: ignoring)
            }
        case (let a as [Any], let b as [Any]):
            guard a.count == b.count else { return ["\(path): \(a.count) | \(b.count) elements"] }
            return zip(a, b).enumerated().flatMap { index, pair in
                self.between(pair.0, pair.1, path: path + "[]", ignoring: ignoring)
            }
        case (let a as NSObject, let b as NSObject):
            return a.isEqual(b) ? [] : ["\(path): \("\(a)".prefix(60)) | \("\(b)".prefix(60))"]
        case (nil, nil): return []
        default: return ["\(path): \("\(a ?? "absent")".prefix(60)) | \("\(b ?? "absent")".prefix(60))"]
        }
    }

    /// Gemini's names come in two spellings; one goes out.
    private static func camel(_ key: String, _ ignoring: Set<String>) -> String {
        let names = [
            "inline_data", "mime_type", "file_data", "file_uri", "function_call", "function_response",
            "system_instruction",
        ]
        guard ignoring.contains("snake"), names.contains(key) else { return key }
        let words = key.split(separator: "_")
        return words.dropFirst().reduce(String(words[0])) { $0 + $1.capitalized }
    }
}
