import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// Providers that fail, lie or leave. The caller is told the truth, and the ledger has a row for each attempt, by the
    /// table of the design ("Money when things break").
    @Suite("An upstream")
    struct UpstreamFault {
        @Test("that cuts a stream leaves the caller an error event and an aborted connection, never a clean end")
        func cutStream() throws {
            for count in [0, 1, 2, 5, 20] {
                let scene = try Scene(["cut": .cutStream(afterEvents: count)])
                defer { scene.end() }
                let response = try scene.gateway.chat(model: "cut", key: scene.key, isStream: true)
                #expect(response.end == .cut || response.status >= 500, "\(count): \(response.end)")
                #expect(!response.events.contains("[DONE]"))
                if response.status == 200 {
                    let last = try #require(response.events.last)
                    #expect(last.contains("\"error\""), "\(count): \(last)")
                    #expect(response.text.components(separatedBy: "ttttt").count == count + 1)
                }
                let rows = try scene.rows(1)
                #expect(rows.allSatisfy { $0.isError && ($0.isEstimated || count == 0) }, "\(rows)")
                try scene.expectSoundLedger()
            }
        }

        @Test("that sends an error event in a stream is booked as an error, and the event passes")
        func errorInStream() throws {
            let scene = try Scene(["bad": .errorInStream(afterEvents: 2)])
            defer { scene.end() }
            let response = try scene.gateway.chat(model: "bad", key: scene.key, isStream: true)
            #expect(response.events.contains { $0.contains("\"scripted\"") })
            let rows = try scene.rows(1)
            #expect(rows.allSatisfy { $0.isError })
        }

        @Test("that breaks its answer is a 502 to the caller and an error in the ledger")
        func brokenAnswers() throws {
            let scripts: [String: UpstreamScript] = [
                "head": .cutInHead, "body": .cutInBody, "none": .closesWithoutAnswer, "chunking": .invalidChunking,
                "lengths": .bothLengths, "injection": .headerInjection,
            ]
            let scene = try Scene(scripts)
            defer { scene.end() }
            for model in scripts.keys.sorted() {
                let response = try scene.gateway.chat(model: model, key: scene.key)
                #expect((500...504).contains(response.status), "\(model): \(response.status)")
                #expect(response.openAIError != nil, "\(model): \(response.text)")
                #expect(!response.headers.contains { $0.name == "x-evil" }, "\(model)")
                #expect(!response.text.contains("127.0.0.1"), "a host name leaks: \(response.text)")
            }
            let rows = try scene.rows(scripts.count)
            #expect(rows.allSatisfy { $0.isError }, "\(rows)")
            try scene.expectSoundLedger()
        }

        @Test("that is not there is a 503 or 502 at once, booked at no cost")
        func refusedConnection() throws {
            let scene = try Scene(["plain": .answer()]) { $0.upstreamPort = 1 }
            defer { scene.end() }
            let response = try scene.gateway.chat(model: "plain", key: scene.key)
            #expect([500, 502, 503].contains(response.status))
            #expect(response.openAIError != nil)
            let rows = try scene.gateway.exportLedger()
            #expect(rows.allSatisfy { $0.isError && $0.costNanos == 0 })
            try scene.expectSoundLedger()
        }

        @Test(
            "that refuses is passed on with its own status and message, at no cost",
            arguments: [400, 401, 404, 429, 500, 503])
        func refusals(status: Int) throws {
            let scene = try Scene(["m": .status(status, retryAfterSeconds: 7)])
            defer { scene.end() }
            let response = try scene.gateway.chat(model: "m", key: scene.key)
            #expect(response.status == status)
            let message = try #require(response.openAIError?["message"] as? String)
            // What the provider says about the gateway's own key is nothing for callers.
            #expect(message.contains("scripted") == (status != 401), "\(message)")
            if status == 429 { #expect(response.header("retry-after") == "7") }
            let rows = try scene.rows(1)
            #expect(rows.allSatisfy { $0.isMeasured && $0.isError && $0.costNanos == 0 })
        }

        @Test("that fails once is tried again, each attempt a row of one request")
        func retries() throws {
            let scene = try Scene(["flaky": .failsFirst(times: 1)]) { $0.router = ["num_retries: 2"] }
            defer { scene.end() }
            let response = try scene.gateway.chat(model: "flaky", key: scene.key)
            #expect(response.status == 200, "\(response.text)")
            let rows = try scene.rows(2).sorted { $0.attempt < $1.attempt }
            #expect(rows.map(\.attempt) == [0, 1])
            #expect(Set(rows.map(\.requestID)).count == 1)
            #expect(rows.map(\.isError) == [true, false])
            #expect(rows.first?.costNanos == 0)
            try scene.expectLedgerAgrees()
        }

        @Test("that fails is replaced by a fallback group")
        func fallback() throws {
            let scene = try Scene(["bad": .status(500), "plain": .answer()]) {
                $0.router = ["num_retries: 0", "fallbacks: [{\"bad\": [\"plain\"]}]"]
            }
            defer { scene.end() }
            let response = try scene.gateway.chat(model: "bad", key: scene.key)
            #expect(response.status == 200, "\(response.text)")
            #expect(scene.upstream.calls.map(\.model) == ["bad", "plain"])
            #expect(Set(try scene.rows(2).map(\.requestID)).count == 1)
        }

        @Test("that closed its idle connection costs the caller nothing")
        func staleConnections() throws {
            let scene = try Scene(["closing": .closesAfterAnswer], threads: 1)
            defer { scene.end() }
            for _ in 0..<20 {
                let response = try scene.gateway.chat(model: "closing", key: scene.key)
                #expect(response.status == 200, "\(response.text)")
                // A request that meets the closing half-way may have been read: no gateway can tell.
                try waitUntil("the upstream has closed", within: .seconds(20)) { scene.upstream.connectionsOpen == 0 }
            }
            #expect(scene.upstream.calls.count == 20)
            try scene.expectLedgerAgrees()
        }

        @Test("that closes a reused connection after the request was sent is tried again only as a counted retry")
        func closedWhenReused() throws {
            let scene = try Scene(["reused": .closesWhenReused], threads: 1) { $0.router = ["num_retries: 1"] }
            defer { scene.end() }
            for _ in 0..<10 {
                let response = try scene.gateway.chat(model: "reused", key: scene.key)
                #expect(response.status == 200, "\(response.text)")
            }
            // The upstream counts a request when it has read it whole: those it hung up on are attempts of ours only.
            #expect(scene.upstream.calls.count == 10)
            let rows = try scene.gateway.exportLedger()
            #expect(rows.count { $0.isMeasured && !$0.isError } == 10)
            #expect(rows.count { $0.isError } == rows.count - 10)
            #expect(Set(rows.map(\.requestID)).count == 10)
            try scene.expectSoundLedger()
        }

        @Test("that answers before it has read the request does not spoil the next call")
        func earlyAnswer() throws {
            let scene = try Scene(["early": .earlyAnswer, "plain": .answer()], threads: 1)
            defer { scene.end() }
            let filler = ",\"filler\":\"\(String(repeating: "a", count: 3_000_000))\""
            for _ in 0..<5 {
                let response = try scene.gateway.chat(model: "early", key: scene.key, extra: filler)
                #expect([400, 502].contains(response.status), "\(response.status)")
                try scene.expectStillServes()
            }
            try scene.expectSoundLedger()
        }

        @Test("that says nothing runs into the timeouts, and its call is booked as an error")
        func timeouts() throws {
            let scene = try Scene(["silent": .silent, "stalled": .heldStream(events: 5, beforeGate: 2)]) {
                $0.martlet = ["first_byte_timeout_seconds: 0.5", "idle_timeout_seconds: 0.5"]
            }
            defer { scene.end() }
            let silent = try scene.gateway.chat(model: "silent", key: scene.key)
            #expect([408, 504].contains(silent.status), "\(silent.status)")
            #expect(silent.openAIError != nil)
            let stalled = try scene.gateway.chat(model: "stalled", key: scene.key, isStream: true)
            #expect(stalled.end == .cut)
            #expect(stalled.events.last?.contains("\"error\"") == true)
            let rows = try scene.rows(2)
            #expect(rows.allSatisfy { $0.isError })
            try scene.expectSoundLedger()
        }

        @Test("that reports no usage is counted from the bytes")
        func noUsage() throws {
            let scene = try Scene(["quiet": .answerWithoutUsage, "stream": .streamWithoutUsage(events: 30)])
            defer { scene.end() }
            #expect(try scene.gateway.chat(model: "quiet", key: scene.key).status == 200)
            #expect(try scene.gateway.chat(model: "stream", key: scene.key, isStream: true).end == .complete)
            let rows = try scene.rows(2)
            #expect(rows.allSatisfy { $0.isEstimated && !$0.isError && $0.promptTokens > 0 && $0.completionTokens > 0 })
            try scene.expectSoundLedger()
        }

        @Test("sees the request as the caller sent it, but for the key, the model and the question for usage")
        func sameBytes() throws {
            let scene = try Scene(["plain": .answer(), "stream": .stream(events: 2)])
            defer { scene.end() }
            let odd = "{ \"zeta\" : [1.0e+2, \"\\u00e9\\/\", null] ,\n\t\"model\":\"plain\", \"messages\":[] }"
            #expect(try scene.gateway.request("POST", "/v1/chat/completions", key: scene.key, body: odd).status == 200)
            let call = try #require(scene.upstream.calls.first)
            #expect(String(decoding: call.body, as: UTF8.self) == odd)
            #expect(call.head.contains("Bearer sk-upstream-secret"))
            #expect(!call.head.contains(scene.key))
            let quiet = try scene.gateway.chat(model: "stream", key: scene.key, isStream: true)
            #expect(quiet.events.count == 4)
            #expect(!quiet.text.contains("\"usage\""))
            let asked = ",\"stream_options\":{\"include_usage\":true}"
            let told = try scene.gateway.chat(model: "stream", key: scene.key, isStream: true, extra: asked)
            #expect(told.events.count == 5)
            #expect(told.events.dropLast().last?.contains("\"usage\"") == true)
            try scene.expectLedgerAgrees()
        }

        @Test("whose price is unknown is served at no cost and flagged")
        func unpriced() throws {
            let scene = try Scene(["a-model-nobody-sells": .answer()]) {
                $0.inputCostPerToken = nil
                $0.outputCostPerToken = nil
            }
            defer { scene.end() }
            #expect(try scene.gateway.chat(model: "a-model-nobody-sells", key: scene.key).status == 200)
            let row = try #require(try scene.rows(1).first)
            #expect(row.flags.contains("unpriced") && row.isMeasured)
            #expect(row.costNanos == 0 && row.promptTokens == 1000)
        }
    }
}
