import Foundation
import GatewayCore
import GatewayTranslation
import GatewayWire
import TestSupport
import Testing

@Suite("Reported usage", .ownThread)
struct UsageTests {
    private func usage(_ body: String, _ format: WireFormat) throws -> ConversationUsage? {
        let outcome = try Array(body.utf8).withUnsafeBytes {
            try AnswerTranslator.translate($0, from: format, to: .openAIChat, options: TranslationOptions())
        }
        guard case .answer(let answer) = outcome else { return nil }
        return answer.usage
    }

    private func booked(_ body: String, _ format: WireFormat) throws -> TokenUsage? {
        try self.usage(body, format)?.tokenUsage
    }

    @Test(
        "of every recorded answer is booked as the provider wrote it",
        arguments: RecordedCase.all.filter { !$0.isStream && $0.status == 200 })
    func recorded(recorded: RecordedCase) throws {
        let outcome = try recorded.response.withUnsafeBytes {
            try AnswerTranslator.translate(
                $0, from: recorded.format, to: recorded.format, options: TranslationOptions())
        }
        guard case .answer(let answer) = outcome, let sent = recorded.facts.usage else { return }
        let booked = try #require(answer.usage?.tokenUsage)
        // Cohere bills less than it counts; what it bills is booked.
        if recorded.format != .cohere {
            #expect(booked.input == Int64(sent["input"] ?? 0))
            #expect(booked.output == Int64(sent["output"] ?? 0))
        }
        #expect(booked.cachedInput == min(Int64(sent["cached"] ?? 0), booked.input))
        #expect(booked.reasoningOutput == min(Int64(sent["reasoning"] ?? 0), booked.output))
        #expect(booked.cacheWriteInput + booked.cacheWriteLongInput == Int64(sent["written"] ?? 0))
    }

    private static let chatHead = #"{"choices":[{"index":0,"message":{"role":"assistant","content":"a"}}],"usage":"#

    @Test("of Anthropic has the cache within the input, written for five minutes and for an hour")
    func anthropic() throws {
        let body = """
            {"type":"message","role":"assistant","content":[],"stop_reason":"end_turn","usage":{"input_tokens":10,
            "cache_creation_input_tokens":1500,"cache_read_input_tokens":2000,"output_tokens":100,
            "cache_creation":{"ephemeral_5m_input_tokens":1000,"ephemeral_1h_input_tokens":500},
            "output_tokens_details":{"thinking_tokens":60},"service_tier":"priority"}}
            """
        let usage = try #require(try self.usage(body, .anthropic))
        var expected = TokenUsage(input: 3510, output: 100)
        expected.cachedInput = 2000
        expected.cacheWriteInput = 1000
        expected.cacheWriteLongInput = 500
        expected.reasoningOutput = 60
        #expect(usage.tokenUsage == expected)
        #expect(usage.serviceTier == .priority)
    }

    @Test("of Anthropic in several passes is their sum")
    func iterations() throws {
        let body = """
            {"type":"message","role":"assistant","content":[],"stop_reason":"end_turn","usage":{"input_tokens":20,
            "output_tokens":5,"iterations":[{"type":"compaction","input_tokens":1000,"output_tokens":300,
            "cache_read_input_tokens":7},{"type":"message","input_tokens":20,"output_tokens":5}]}}
            """
        let booked = try #require(try self.booked(body, .anthropic))
        #expect(booked.input == 1027)
        #expect(booked.cachedInput == 7)
        #expect(booked.output == 305)
    }

    @Test("of Bedrock has the cache within the input, an hour's writes apart")
    func bedrock() throws {
        let body = """
            {"output":{"message":{"role":"assistant","content":[{"text":"a"}]}},"stopReason":"end_turn","usage":{
            "inputTokens":3,"outputTokens":4,"totalTokens":1007,"cacheReadInputTokens":600,"cacheWriteInputTokens":400,
            "cacheDetails":[{"ttl":"1h","inputTokens":300},{"ttl":"5m","inputTokens":100}]}}
            """
        let booked = try #require(try self.booked(body, .bedrock))
        var expected = TokenUsage(input: 1003, output: 4)
        expected.cachedInput = 600
        expected.cacheWriteInput = 100
        expected.cacheWriteLongInput = 300
        #expect(booked == expected)
    }

    @Test("of Gemini adds the thoughts to the output and tells sounds and pictures apart")
    func gemini() throws {
        let body = """
            {"candidates":[{"content":{"role":"model","parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{
            "promptTokenCount":100,"toolUsePromptTokenCount":10,"candidatesTokenCount":20,"thoughtsTokenCount":5,
            "cachedContentTokenCount":30,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":40},
            {"modality":"IMAGE","tokenCount":25}],"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":12}]}}
            """
        let booked = try #require(try self.booked(body, .gemini))
        var expected = TokenUsage(input: 110, output: 25)
        expected.cachedInput = 30
        expected.audioInput = 40
        expected.imageInput = 25
        expected.reasoningOutput = 5
        expected.imageOutput = 12
        #expect(booked == expected)
    }

    @Test("of xAI adds the reasoning that the completion leaves out, and says what the call cost")
    func xai() throws {
        let usage = try #require(
            try self.usage(
                Self.chatHead + """
                    {"prompt_tokens":10,"completion_tokens":4,"total_tokens":44,"cost_in_usd_ticks":1615400,
                    "completion_tokens_details":{"reasoning_tokens":30}}}
                    """, .openAIChat))
        #expect(usage.tokenUsage.output == 34)
        #expect(usage.tokenUsage.reasoningOutput == 30)
        #expect(usage.reportedMoney.costInUSDTicks == 1_615_400)
        #expect(usage.reportedMoney.cost == nil)
    }

    @Test(
        "of OpenRouter and Perplexity says what the call cost",
        arguments: [
            (#"{"prompt_tokens":1,"completion_tokens":1,"cost":0.0015}}"#, 0.0015),
            (#"{"prompt_tokens":1,"completion_tokens":1,"cost":{"total_cost":0.25}}}"#, 0.25),
            (#"{"prompt_tokens":1,"completion_tokens":1,"cost":-1}}"#, nil),
            (#"{"prompt_tokens":1,"completion_tokens":1,"cost":"free"}}"#, nil),
        ] as [(String, Double?)])
    func cost(usage: String, dollars: Double?) throws {
        #expect(try self.usage(Self.chatHead + usage, .openAIChat)?.reportedMoney.cost == dollars)
    }

    @Test("of Cohere books what is billed")
    func cohere() throws {
        let body = """
            {"id":"x","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"a"}]},
            "usage":{"billed_units":{"input_tokens":5,"output_tokens":7},"tokens":{"input_tokens":71,"output_tokens":9}}}
            """
        let usage = try #require(try self.usage(body, .cohere))
        #expect(usage.tokenUsage == TokenUsage(input: 5, output: 7))
        #expect(usage.input == 71)
    }

    @Test(
        "that contradicts itself never exceeds its totals",
        arguments: [
            #"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9007199254740992,"#
                + #""cache_write_tokens":9007199254740992,"audio_tokens":50}}}"#,
            #"{"prompt_tokens":9007199254740992,"completion_tokens":9007199254740992,"total_tokens":1}}"#,
            #"{"prompt_tokens":-5,"completion_tokens":1e300,"total_tokens":"x"}}"#,
        ])
    func hostile(usage: String) throws {
        let booked = try #require(try self.booked(Self.chatHead + usage, .openAIChat))
        let details = booked.cachedInput + booked.cacheWriteInput + booked.cacheWriteLongInput + booked.audioInput
        #expect(details + booked.imageInput <= booked.input)
        #expect(booked.input >= 0 && booked.output >= 0)
    }
}
