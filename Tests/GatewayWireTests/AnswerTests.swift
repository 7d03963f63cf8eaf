import Foundation
import GatewayCore
import GatewayWire
import TestSupport
import Testing

private func scan(_ text: String) -> UsageScan { withGuarded(text) { JSONScanner.scanAnswer($0) } }

/// The usage as the piecewise scanner finds it with the bytes cut at `cuts`.
private func streamed(_ bytes: [UInt8], cuts: [Int]) -> StreamingUsageScanner {
    var scanner = StreamingUsageScanner()
    for (start, end) in zip([0] + cuts, cuts + [bytes.count]) { withGuarded(bytes[start..<end]) { scanner.feed($0) } }
    return scanner
}

@Suite("A scan of an answer", .ownThread)
struct AnswerTests {
    static let full =
        #"{"id":"x","choices":[{"message":{"content":"a \"usage\":{} }"}}],"model":"gpt-4o","#
        + #""usage":{"prompt_tokens":12,"#
        + #""completion_tokens":34.0,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":1,"audio_tokens":2,"#
        + #""image_tokens":3,"cache_write_tokens":4,"text_tokens":9},"#
        + #""completion_tokens_details":{"reasoning_tokens":5,"#
        + #""audio_tokens":6,"image_tokens":7},"prompt_cache_hit_tokens":8,"num_cached_tokens":9,"cost":0.00125,"#
        + #""cost_in_usd_ticks":77,"extra":[{"a":[1]}]},"service_tier":"flex"}"#

    @Test("reads every field of the usage")
    func allFields() throws {
        let scan = scan(Self.full)
        let usage = try #require(scan.usage)
        #expect(usage.promptTokens == 12 && usage.completionTokens == 34 && usage.totalTokens == 46)
        #expect(usage.cachedTokens == 1 && usage.promptAudioTokens == 2 && usage.promptImageTokens == 3)
        #expect(usage.cacheWriteTokens == 4 && usage.reasoningTokens == 5 && usage.completionAudioTokens == 6)
        #expect(usage.completionImageTokens == 7 && usage.promptCacheHitTokens == 8 && usage.numCachedTokens == 9)
        #expect(usage.cost == 0.00125 && usage.costInUSDTicks == 77 && usage.serviceTier == .flex)
        #expect(scan.isComplete && !scan.hasError)
        withGuarded(Self.full) { #expect($0.text(JSONScanner.scanAnswer($0).model) == "gpt-4o") }
    }

    @Test("gives -1 for counts that are absent or null")
    func absent() throws {
        let usage = try #require(
            scan(#"{"usage":{"prompt_tokens":3,"total_tokens":null,"prompt_tokens_details":null}}"#).usage)
        #expect(usage.promptTokens == 3 && usage.totalTokens == -1 && usage.cachedTokens == -1)
        #expect(usage.cost == nil && usage.serviceTier == nil)
    }

    @Test(
        "gives no usage rather than a doubtful one",
        arguments: [
            "", "{}", "[]", #"{"usage":null}"#, #"{"usage":{}}"#, #"{"usage":[]}"#, #"{"usage":7}"#,
            #"{"usage":{"prompt_tokens":-1}}"#, #"{"usage":{"prompt_tokens":1.5}}"#,
            #"{"usage":{"prompt_tokens":"7"}}"#,
            #"{"usage":{"prompt_tokens":9007199254740993}}"#, #"{"usage":{"prompt_tokens":1e3}}"#,
            #"{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":-5}}}"#,
            #"{"usage":{"prompt_tokens":99999999999999999999999}}"#, #"{"a":{"usage":{"prompt_tokens":1}}}"#,
            #"{"usage":{"prompt_tokens":1}"#, #"{"usage":{"prompt_tokens":1}}x"#, #"{"usage":{"prompt_tokens":1}}}"#,
            #"{"usage":{"prompt_tokens":1},}x"#, "\0", #"{"a":"\"#, #"{"a":{"b":"#,
        ])
    func doubtful(text: String) {
        #expect(scan(text).usage == nil)
        #expect(streamed(Array(text.utf8), cuts: []).usage == nil || text.hasPrefix(#"{"usage":{"prompt_tokens":1}"#))
    }

    @Test(
        "reads the cost as providers write it",
        arguments: [
            ("0.0000336", 0.0000336), ("8e-6", 8e-6), ("0", 0), ("1.5E+2", 150), ("12345678.875", 12_345_678.875),
            (#"{"input_tokens_cost":2e-05,"total_cost":0.00503}"#, 0.00503), ("0.00262400000000000000000001", 0.002624),
        ])
    func cost(text: String, expected: Double) {
        #expect(scan(#"{"usage":{"prompt_tokens":1,"cost":\#(text)}}"#).usage?.cost == expected)
    }

    @Test("ignores a cost that is no amount", arguments: ["null", "-1", "\"1\"", "1e999", "{}", "[]", "true"])
    func noCost(text: String) {
        let usage = scan(#"{"usage":{"prompt_tokens":1,"cost":\#(text)}}"#).usage
        #expect(usage?.promptTokens == 1 && usage?.cost == nil)
    }

    @Test("sees an error that is not null")
    func errors() {
        #expect(scan(#"{"error":{"message":"x"}}"#).hasError)
        #expect(!scan(#"{"error":null}"#).hasError)
        #expect(!scan(#"{"a":{"error":{}}}"#).hasError)
    }

    @Test(
        "in two pieces finds what a whole scan finds, wherever it is cut",
        arguments: [
            full, #"{"error":{"message":"\\\""},"usage":null}"#,
            #" { "usage" : { "total_tokens" : 5 } , "error" : null } "#,
            #"{"service_tier":"priority","a":[{"usage":1}],"usage":{"completion_tokens":2}}"#,
        ])
    func pieces(text: String) {
        let bytes = Array(text.utf8)
        let whole = scan(text)
        for cut in 0...bytes.count {
            let scanner = streamed(bytes, cuts: [cut])
            #expect(scanner.usage == whole.usage && scanner.hasError == whole.hasError, "cut at \(cut)")
        }
        let single = streamed(bytes, cuts: Array(1..<bytes.count))
        #expect(single.usage == whole.usage && single.hasError == whole.hasError)
    }

    @Test("in pieces forgets a usage that is too long")
    func bounded() {
        let padding = String(repeating: "x", count: StreamingUsageScanner.keptBytesMax)
        let scanner = streamed(Array(#"{"usage":{"prompt_tokens":1,"a":"\#(padding)"},"error":1}"#.utf8), cuts: [])
        #expect(scanner.usage == nil && scanner.hasError)
    }

    @Test(
        "counts generated text wherever providers put it",
        arguments: [
            (#"{"choices":[{"message":{"role":"assistant","content":"abcd","refusal":null}}]}"#, 4),
            (#"{"choices":[{"message":{"content":null,"reasoning_content":"ab","reasoning":"c"}},{"text":"de"}]}"#, 5),
            (#"{"choices":[{"message":{"content":"h\u00e9\n\ud83d\ude00"}}]}"#, 8),
            (
                #"{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}"#,
                7
            ),
            (
                #"{"choices":[{"message":{"content":[{"thinking":[{"type":"text","text":"ab"}]},{"text":"c"}]}}]}"#,
                3
            ),
            (#"{"choices":[{"delta":{"content":"a"},"message":{"content":"abcdef"}}]}"#, 1),
            (#"{"choices":[{"message":{"content":"abc"},"delta":{"content":""}}]}"#, 0),
            (#"{"choices":[{"text":"a"}"#, 0),
        ])
    func content(text: String, expected: Int) {
        #expect(withGuarded(text) { JSONScanner.contentBytes($0) } == expected)
    }

    @Test("cut or damaged anywhere stays within its bytes")
    func damaged() {
        let seed: UInt64 = 7
        var generator = JSONGenerator(random: WireRandom(seed: seed))
        for _ in 0..<5000 {
            var bytes = Array(Self.full.utf8)
            generator.mutate(&bytes)
            withGuarded(bytes) {
                _ = JSONScanner.scanAnswer($0)
                _ = JSONScanner.contentBytes($0)
                var scanner = StreamingUsageScanner()
                scanner.feed($0)
            }
        }
    }

    @Test("finds in every recorded answer the usage that Foundation finds")
    func recordings() {
        let files = RecordedTraffic.files(named: "response.json")
        var compared = 0
        for file in files {
            let bytes = RecordedTraffic.bytes(file)
            guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else { continue }
            let scan = withGuarded(bytes) { JSONScanner.scanAnswer($0) }
            #expect(scan.isComplete, "\(file)")
            #expect(scan.hasError == (object["error"].map { !($0 is NSNull) } ?? false), "\(file)")
            let usage = object["usage"] as? [String: Any]
            let expected = (usage?["prompt_tokens"] as? NSNumber)?.int64Value
            #expect((scan.usage?.promptTokens ?? -1) == expected ?? -1 || usage == nil, "\(file)")
            let total = (usage?["total_tokens"] as? NSNumber)?.int64Value
            if let total, expected != nil { #expect(scan.usage?.totalTokens == total, "\(file)") }
            #expect(streamed(bytes, cuts: [bytes.count / 2]).usage == scan.usage || usage == nil, "\(file)")
            compared += 1
        }
        print(
            "recorded answers compared: \(compared) (directory of recordings: \(files.isEmpty ? "absent" : "present"))")
    }
}
