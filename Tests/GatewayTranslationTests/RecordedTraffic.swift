import Foundation
import GatewayTranslation
import GatewayWire
import Testing

/// Recorded traffic of providers, from `MARTLET_FIXTURES` or beside the package.
struct RecordedCase: Sendable, CustomTestStringConvertible {
    let provider: String
    let name: String
    let format: WireFormat
    let status: Int
    let framing: StreamFraming?
    let request: [UInt8]?
    let response: [UInt8]

    var testDescription: String { "\(self.provider)/\(self.name)" }
    var isStream: Bool { self.framing != nil }
    var facts: Facts {
        guard let framing = self.framing else {
            return Facts(format: self.format.factName, body: Generic(json: self.response))
        }
        let cut =
            switch framing {
            case .awsEventStream: "frames"
            case .lines: "lines"
            case .jsonArray: "array"
            case .serverSentEvents: "events"
            }
        return Facts(format: self.format.factName, events: StreamCutting.events(self.response, framing: cut))
    }

    static var directory: String {
        if let path = ProcessInfo.processInfo.environment["MARTLET_FIXTURES"] { return path + "/providers" }
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return package.deletingLastPathComponent().path + "/shared/fixtures/providers"
    }

    /// Every recorded exchange of a conversation. Empty when the recordings are absent.
    static let all: [RecordedCase] = {
        guard let files = FileManager.default.enumerator(atPath: directory) else { return [] }
        return files.compactMap { $0 as? String }.filter { $0.hasSuffix("/meta.json") }.sorted()
            .compactMap { read(String($0.dropLast("/meta.json".count))) }
    }()

    private static func read(_ path: String) -> RecordedCase? {
        let folder = directory + "/" + path
        func bytes(_ name: String) -> [UInt8]? {
            FileManager.default.contents(atPath: folder + "/" + name).map { [UInt8]($0) }
        }
        guard let meta = bytes("meta.json").map({ Generic(json: $0) }) else { return nil }
        let parts = path.split(separator: "/").map(String.init)
        let endings: [(String, StreamFraming?)] = [
            ("json", nil), ("sse", .serverSentEvents), ("ndjson", .lines), ("eventstream", .awsEventStream),
        ]
        guard let (ending, framing) = endings.first(where: { bytes("response." + $0.0) != nil }),
            let response = bytes("response." + ending),
            let format = self.format(provider: parts[0], name: parts[1], url: meta["url"].string ?? "", response)
        else { return nil }
        // A stream without alt=sse is one array.
        let isArray = format == .gemini && framing == nil && response.first == UInt8(ascii: "[")
        return RecordedCase(
            provider: parts[0], name: parts[1], format: format, status: meta["status"].int ?? 200,
            framing: isArray ? .jsonArray : framing,
            request: bytes("request.json"), response: response)
    }

    /// `nil`: no conversation.
    private static func format(provider: String, name: String, url: String, _ response: [UInt8]) -> WireFormat? {
        let others = [
            "embed", "rerank", "count-tokens", "batch", "models", "files", "images", "moderations", "transcription",
            "completions", "generate", "titan",
        ]
        if others.contains(where: name.contains) || provider == "voyage" { return nil }
        // The old completions have choices too, but no messages.
        if url.hasSuffix("/v1/completions") { return nil }
        switch provider {
        case "anthropic": return .anthropic
        case "bedrock-converse": return .bedrock
        case "bedrock-invoke-anthropic": return .anthropic
        case "gemini", "vertex-gemini": return .gemini
        case "cohere-v2": return .cohere
        case "ollama-native": return .ollama
        case "openai-responses", "xai-responses", "lmstudio", "deepseek-responses": return .openAIResponses
        case "openai-other": return nil
        default: return name.contains("responses") || url.contains("/responses") ? .openAIResponses : .openAIChat
        }
    }
}

extension WireFormat {
    var factName: String {
        switch self {
        case .openAIChat: "chat"
        case .openAIResponses: "responses"
        case .anthropic: "anthropic"
        case .gemini: "gemini"
        case .bedrock: "bedrock"
        case .cohere: "cohere"
        case .ollama: "ollama"
        }
    }
}
