import Foundation
import GatewayWire
import TestSupport
import Testing

/// What two readers say of one body.
enum JSONComparison {
    /// Whether our scanner takes `bytes` for one JSON object. `nil`: it refused for a rule of its own (a field's type
    /// or repetition, the nesting bound).
    static func ourVerdict(_ bytes: [UInt8]) -> Bool? {
        switch withGuarded(bytes, { JSONScanner.scanRequest($0) }) {
        case .success: true
        case .failure(.malformed), .failure(.truncated), .failure(.trailingBytes), .failure(.invalidUTF8),
            .failure(.notAnObject):
            false
        case .failure: nil
        }
    }

    static func foundationVerdict(_ bytes: [UInt8]) -> Bool {
        ((try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]) != nil
    }

    /// Where Foundation knowingly differs from RFC 8259: it guesses UTF-16 and UTF-32 from NUL bytes and byte order
    /// marks, accepts a comma before a closing bracket, and refuses lone surrogates and numbers beyond a double.
    static func isKnownDifference(_ bytes: [UInt8]) -> Bool {
        if bytes.prefix(4).contains(where: { $0 == 0 || $0 >= 0xEF }) { return true }
        let text = String(decoding: bytes, as: UTF8.self).lowercased()
        if text.contains("\\ud") { return true }
        let packed = text.filter { !$0.isWhitespace }
        if packed.contains(",}") || packed.contains(",]") { return true }
        return text.utf8.reduce((run: 0, longest: 0)) { state, byte in
            let isNumber = byte >= 0x30 && byte < 0x3A || byte == UInt8(ascii: "e") || byte == UInt8(ascii: ".")
            let run = isNumber || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") ? state.run + 1 : 0
            return (run, max(run, state.longest))
        }.longest > 4 && text.contains("e")
    }

    /// `nil`: both agree, or may differ.
    static func disagreement(_ bytes: [UInt8]) -> String? {
        guard let ours = Self.ourVerdict(bytes) else { return nil }
        let theirs = Self.foundationVerdict(bytes)
        if ours == theirs || Self.isKnownDifference(bytes) { return nil }
        return "ours \(ours), Foundation \(theirs): \(Data(bytes).base64EncodedString())"
    }
}

/// Makes random JSON text with every kind of token and white space.
struct JSONGenerator {
    var random: WireRandom

    mutating func object(depth: Int) -> String {
        let fields = (0..<Int.random(in: 0...4, using: &self.random)).map { _ in
            "\(self.space())\(self.string())\(self.space()):\(self.value(depth: depth))"
        }
        return "{\(fields.joined(separator: ","))\(self.space())}"
    }

    private mutating func value(depth: Int) -> String {
        let body: String
        switch Int.random(in: 0..<(depth > 5 ? 5 : 7), using: &self.random) {
        case 0: body = ["true", "false", "null"].randomElement(using: &self.random) ?? "null"
        case 1, 2: body = self.number()
        case 3, 4: body = self.string()
        case 5: body = self.object(depth: depth + 1)
        default:
            let count = Int.random(in: 0...4, using: &self.random)
            body = "[\((0..<count).map { _ in self.value(depth: depth + 1) }.joined(separator: ","))\(self.space())]"
        }
        return "\(self.space())\(body)\(self.space())"
    }

    private mutating func number() -> String {
        let sign = Bool.random(using: &self.random) ? "-" : ""
        let whole = String(Int.random(in: 0...99_999, using: &self.random))
        let fraction =
            Bool.random(using: &self.random) ? "." + String(Int.random(in: 0...999, using: &self.random)) : ""
        let exponent = ["", "", "e3", "E-2", "e+1"].randomElement(using: &self.random) ?? ""
        return sign + whole + fraction + exponent
    }

    private mutating func string() -> String {
        let parts = [
            "a", "model", "stream", "é", "敏捷", "😀", "\\n", "\\\"", "\\\\", "\\u00e9", "\\/", "{", "]", "\u{7F}", " ",
            "plain text that fills more than sixteen bytes",
        ]
        let count = Int.random(in: 0...5, using: &self.random)
        return "\"\((0..<count).map { _ in parts.randomElement(using: &self.random) ?? "" }.joined())\""
    }

    private mutating func space() -> String {
        Int.random(in: 0..<8, using: &self.random) == 0
            ? ([" ", "\n", "\t", "\r\n", "  "].randomElement(using: &self.random) ?? "") : ""
    }

    /// Changes, removes, doubles or inserts a few bytes.
    mutating func mutate(_ bytes: inout [UInt8]) {
        for _ in 0..<Int.random(in: 1...3, using: &self.random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &self.random)
            switch Int.random(in: 0..<5, using: &self.random) {
            case 0: bytes[index] = .random(in: 0...255, using: &self.random)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(bytes[index], at: index)
            case 3: bytes.removeSubrange(index...)
            default:
                let token = Array("{}[]\",:\\0e-. tfnu\u{e9}".utf8).randomElement(using: &self.random) ?? 0
                bytes.insert(token, at: index)
            }
        }
    }
}

@Suite("The request scanner and Foundation", .ownThread)
struct JSONDifferentialTests {
    @Test("agree on generated bodies and on damaged ones", arguments: [1, 2, 3, 4] as [UInt64])
    func generated(seed: UInt64) {
        var generator = JSONGenerator(random: WireRandom(seed: seed))
        for round in 0..<5000 {
            let text = generator.object(depth: 0)
            var bytes = Array(text.utf8)
            if let difference = JSONComparison.disagreement(bytes) {
                Issue.record("seed \(seed), round \(round): \(difference)")
                return
            }
            for _ in 0..<3 {
                generator.mutate(&bytes)
                if let difference = JSONComparison.disagreement(bytes) {
                    Issue.record("seed \(seed), round \(round), damaged: \(difference)")
                    return
                }
            }
        }
    }
}
