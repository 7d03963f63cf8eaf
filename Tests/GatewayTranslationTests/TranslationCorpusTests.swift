import Foundation
import GatewayTranslation
import GatewayWire
import TestSupport
import Testing

/// The committed inputs of the fuzz targets of translation, read again in every test run, each whole and cut at every
/// byte.
@Suite("The fuzz corpus of translation", .ownThread)
struct TranslationCorpusTests {
    private static func inputs(_ target: String) -> [(name: String, bytes: [UInt8])] {
        let directory =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path + "/Fuzz/Corpus/" + target
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.sorted().map {
            ($0, [UInt8](FileManager.default.contents(atPath: directory + "/" + $0) ?? Data()))
        }
    }

    private static func isJSON(_ bytes: [UInt8]) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
    }

    @Test("becomes requests and answers that Foundation reads, in every pair of formats")
    func conversations() {
        let inputs = Self.inputs("Translation")
        #expect(inputs.count >= 5)
        let formats = WireFormat.allCases
        for (name, bytes) in inputs where bytes.count >= 2 {
            let source = formats[Int(bytes[0]) % formats.count]
            for target in formats {
                bytes.dropFirst(2).withUnsafeBytes { body in
                    let options = TranslationOptions()
                    if let request = try? RequestTranslator.translate(body, from: source, to: target, options: options)
                    {
                        #expect(Self.isJSON(request.body), "\(name) to \(target)")
                    }
                    let answer = try? AnswerTranslator.translate(body, from: source, to: target, options: options)
                    if case .answer(let answer)? = answer { #expect(Self.isJSON(answer.body), "\(name) to \(target)") }
                }
            }
        }
    }

    @Test("of embeddings becomes what Foundation reads")
    func embeddings() {
        let inputs = Self.inputs("Embedding")
        #expect(inputs.count >= 5)
        let formats = EmbeddingFormat.allCases
        for (name, bytes) in inputs where bytes.count >= 2 {
            let (source, target) = (formats[Int(bytes[0]) % formats.count], formats[Int(bytes[1]) % formats.count])
            for count in 2...bytes.count {
                bytes[2..<count].withUnsafeBytes { body in
                    let request = try? EmbeddingTranslator.request(
                        body, from: source, to: target, options: TranslationOptions())
                    if let request { #expect(Self.isJSON(request.body), "\(name) cut at \(count)") }
                    let answer = try? EmbeddingTranslator.answer(
                        body, from: source, to: target, options: TranslationOptions(), memory: EmbeddingMemory(),
                        inputTokens: nil)
                    if let answer { #expect(Self.isJSON(answer.body), "\(name) cut at \(count)") }
                }
            }
        }
    }

    @Test("of turns becomes what Foundation reads")
    func turns() {
        let inputs = Self.inputs("ResponseTurn")
        #expect(inputs.count >= 5)
        let mark = Array("\n%\n".utf8)
        for (name, bytes) in inputs {
            guard let cut = bytes.indices.first(where: { bytes[$0...].starts(with: mark) }) else { continue }
            bytes[..<cut].withUnsafeBytes { request in
                for count in (cut + mark.count)...bytes.count {
                    let response = bytes[(cut + mark.count)..<count]
                    let turn = response.withUnsafeBytes { response in
                        [false, true].lazy.compactMap {
                            ResponseTurn.record(request: request, response: response, isStream: $0, identifier: "0f")
                        }.first
                    }
                    guard let turn else { continue }
                    #expect(Self.isJSON(turn), "\(name) cut at \(count)")
                    let next = ResponseTurn.expanded(request, turns: [turn])
                    #expect(next.map(Self.isJSON) == true, "\(name) cut at \(count)")
                }
            }
        }
    }
}
