import Foundation
import GatewayWire
import TestSupport
import Testing

/// The committed inputs of the fuzz targets, read again in every test run, each whole and cut at every byte.
@Suite("The fuzz corpus", .ownThread)
struct FuzzCorpusTests {
    private static func inputs(_ target: String) -> [(name: String, bytes: [UInt8])] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let directory = package.path + "/Fuzz/Corpus/" + target
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.sorted().map {
            ($0, [UInt8](FileManager.default.contents(atPath: directory + "/" + $0) ?? Data()))
        }
    }

    @Test("of bodies is judged as Foundation judges it", arguments: ["RequestScan", "Answer"])
    func bodies(target: String) {
        let inputs = Self.inputs(target)
        #expect(inputs.count > 5)
        for (name, bytes) in inputs {
            for count in 0...bytes.count {
                let difference = JSONComparison.disagreement(Array(bytes[..<count]))
                #expect(difference == nil, "\(target)/\(name) cut at \(count): \(difference ?? "")")
            }
        }
    }

    @Test(
        "of heads and streams is read within its bytes",
        arguments: ["RequestHead", "ResponseHead", "Chunked", "EventStream", "Form", "LargeAnswer"])
    func framing(target: String) {
        let inputs = Self.inputs(target)
        #expect(inputs.count >= 5)
        for (_, bytes) in inputs {
            for count in 0...bytes.count {
                withGuarded(bytes[..<count]) { piece in
                    _ = HTTPParser.parseRequestHead(piece, limits: HTTPLimits())
                    _ = HTTPParser.parseResponseHead(piece, limits: HTTPLimits())
                    var decoder = ChunkedDecoder(limits: HTTPLimits())
                    _ = decoder.decode(piece) { _ in }
                    var scanner = EventStreamScanner()
                    _ = scanner.feed(piece) { _, _ in }
                    _ = scanner.finish()
                    _ = try? FormScan(piece, boundary: Array("xYz".utf8))
                    var members = MemberScanner(names: ["usage"])
                    members.feed(piece)
                    _ = members.object
                    var units = UnitAnswerScanner()
                    units.feed(piece)
                }
            }
        }
    }
}
