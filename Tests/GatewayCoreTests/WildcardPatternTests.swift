import GatewayCore
import Testing

@Suite("A name with wildcards")
struct WildcardPatternTests {
    @Test(
        "matches what its star can stand for",
        arguments: [
            ("*", ""), ("*", "anything"), ("openai/*", "openai/"), ("openai/*", "openai/gpt-4o"),
            ("*-mini", "gpt-4o-mini"), ("*-mini", "-mini"), ("a*c", "ac"), ("a*c", "abbbc"), ("a*b*c", "a-b-c"),
            ("a*b*c", "abc"), ("a*b*c", "abbbbc"), ("a**c", "abc"), ("plain", "plain"), ("*a*", "bab"),
        ])
    func matches(pattern: String, name: String) {
        #expect(WildcardPattern(pattern).matches(name))
    }

    @Test(
        "matches nothing else",
        arguments: [
            ("openai/*", "openai"), ("openai/*", "xopenai/gpt"), ("*-mini", "gpt-mini-2"), ("a*a", "a"),
            ("ab*ba", "aba"), ("a*b*c", "acb"), ("a*b*c", "ab"), ("plain", "plain2"), ("plain", "Plain"),
            ("*a*", "bcd"),
            ("a*b*b", "ab"),
        ])
    func refuses(pattern: String, name: String) {
        #expect(!WildcardPattern(pattern).matches(name))
    }

    @Test("captures what its one star stood for")
    func capture() {
        #expect(WildcardPattern("openai/*").capture(in: "openai/gpt-4o") == "gpt-4o")
        #expect(WildcardPattern("openai/*").capture(in: "openai/") == "")
        #expect(WildcardPattern("a*c").capture(in: "a*c") == "*")
        #expect(WildcardPattern("a*c").capture(in: "abcd") == nil)
        #expect(WildcardPattern("a*b*c").capture(in: "a-b-c") == nil)
        #expect(WildcardPattern("plain").capture(in: "plain") == nil)
    }

    @Test("captures so that prefix, capture and suffix give the name back, hostile names included")
    func captureIsExact() {
        let names = [
            "openai/\u{301}x", "openai/x\u{301}", "openai/e\u{301}", "openai/\u{0}", "openai/\r\n", "openai/🙂",
            "openai/\u{200D}", "openai//", "openai/*",
        ]
        for name in names {
            guard let capture = WildcardPattern("openai/*").capture(in: name) else { continue }
            #expect(Array("openai/\(capture)".utf8) == Array(name.utf8))
        }
    }
}
