import Foundation
import GatewayTranslation
import GatewayWire

/// Short ways to translate in tests.
enum Translate {
    static func request(
        _ text: String, _ source: WireFormat, _ target: WireFormat, _ options: TranslationOptions = TranslationOptions()
    ) throws -> (body: Generic, result: TranslatedRequest) {
        let bytes = Array(text.utf8)
        let result = try bytes.withUnsafeBytes {
            try RequestTranslator.translate($0, from: source, to: target, options: options)
        }
        return (Generic(json: result.body), result)
    }

    static func answer(
        _ text: String, _ source: WireFormat, _ target: WireFormat, memory: CallMemory = CallMemory()
    ) throws -> AnswerTranslator.Outcome {
        let bytes = Array(text.utf8)
        return try bytes.withUnsafeBytes {
            try AnswerTranslator.translate(
                $0, from: source, to: target, options: RecordedAnswerTests.options, memory: memory)
        }
    }

    static func stream(
        _ bytes: [UInt8], _ source: WireFormat, _ target: WireFormat, options: TranslationOptions? = nil,
        memory: CallMemory = CallMemory(), framing: StreamFraming? = nil
    ) -> (output: [UInt8], translator: StreamTranslator) {
        let translator = StreamTranslator(
            from: source, to: target, options: options ?? RecordedAnswerTests.options, memory: memory, framing: framing)
        var output: [UInt8] = []
        bytes.withUnsafeBytes { translator.feed($0, into: &output) }
        translator.finish(into: &output)
        return (output, translator)
    }

    /// A file of our own beside the tests.
    static func golden(_ name: String) -> String {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
        let bytes = FileManager.default.contents(atPath: folder.appendingPathComponent(name).path) ?? Data()
        return String(decoding: bytes, as: UTF8.self)
    }
}
