import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The process")
    struct ProcessLife {
        @Test("ends an idle pod in under 3 seconds on SIGTERM, and comes back on the same port")
        func idleTermination() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            try scene.expectStillServes()
            // An idle kept connection must not hold it up.
            let idle = try RawHTTPClient(port: scene.gateway.port)
            try idle.send(RawHTTPClient.bytes("GET", "/livez"))
            #expect(try idle.response().status == 200)
            let begin = Deadline.now
            #expect(try scene.gateway.terminate() == .exited(0))
            #expect(Deadline.now - begin < 3_000_000_000 * Int64(Deadline.slowness))
            try scene.gateway.start()
            try scene.expectStillServes()
            try scene.expectLedgerAgrees()
        }

        @Test("hears a SIGTERM that comes as soon as the port answers")
        func earlyTermination() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            for _ in 0..<8 {
                #expect(try scene.gateway.terminate() == .exited(0))
                try scene.gateway.start()
            }
        }

        @Test("lets running streams end on SIGTERM, takes no new calls, then exits")
        func drain() throws {
            let scene = try Scene(["plain": .answer(), "held": .heldStream(events: 6, beforeGate: 3)])
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port)
            let body = MartletProcess.chatBody(model: "held", user: "u", isStream: true)
            let headers = ["Authorization: Bearer \(scene.key)"]
            try client.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", headers: headers, body: body))
            let deadline = Deadline(within: .seconds(30))
            #expect(try client.head(before: deadline).status == 200)
            scene.gateway.process.send(signal: SIGTERM)
            try waitUntil("the listener to close") {
                guard let other = try? RawHTTPClient(port: scene.gateway.port) else { return true }
                other.close()
                return false
            }
            #expect(scene.gateway.process.ended == nil)
            scene.upstream.openGate()
            var text = ""
            while let chunk = try client.chunk(before: deadline) { text += String(decoding: chunk, as: UTF8.self) }
            #expect(text.contains("data: [DONE]"))
            #expect(text.components(separatedBy: "ttttt").count == 7)
            #expect(try scene.gateway.process.waitForEnd(within: .seconds(20)) == .exited(0))
            let rows = try scene.expectLedgerAgrees()
            #expect(rows.map(\.isMeasured) == [true])
        }

        @Test("cuts streams that outlast the drain, and books them")
        func drainBound() throws {
            let scene = try Scene(["held": .heldStream(events: 6, beforeGate: 3)]) {
                $0.martlet = ["drain_timeout_seconds: 1"]
            }
            defer { scene.end() }
            let client = try RawHTTPClient(port: scene.gateway.port)
            let body = MartletProcess.chatBody(model: "held", user: "u", isStream: true)
            let headers = ["Authorization: Bearer \(scene.key)"]
            try client.send(RawHTTPClient.bytes("POST", "/v1/chat/completions", headers: headers, body: body))
            try waitUntil("three events") { scene.upstream.calls.first?.eventsSent == 3 }
            #expect(try scene.gateway.terminate(within: .seconds(20)) == .exited(0))
            #expect(try client.response().end == .cut)
            let rows = try scene.rows(1)
            #expect(rows.allSatisfy { $0.isEstimated && $0.promptTokens > 0 && $0.completionTokens > 0 })
            try scene.expectSoundLedger()
        }

        @Test("refuses a data directory that another pod holds, and says so")
        func directoryLock() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            let begin = Deadline.now
            let second = try scene.gateway.run(
                ["serve", "--config", scene.gateway.configurationFile.path, "--host", "127.0.0.1", "--port", "0"]
                    + ["--data", scene.gateway.dataDirectory.path], within: .seconds(20))
            #expect(second.end != .exited(0))
            #expect(Deadline.now - begin < 10_000_000_000)
            let message = second.output + second.errorOutput
            #expect(message.contains(scene.gateway.dataDirectory.path), "\(message)")
            #expect(message.contains("holds"), "\(message)")
            try scene.expectStillServes()
        }

        @Test("refuses a port that is taken, and says so")
        func portTaken() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            let other = scene.gateway.directory.appendingPathComponent("other").path
            let second = try scene.gateway.run(
                ["serve", "--config", scene.gateway.configurationFile.path, "--host", "127.0.0.1"]
                    + ["--port", String(scene.gateway.port), "--data", other], within: .seconds(20))
            #expect(second.end != .exited(0))
            #expect((second.output + second.errorOutput).contains(String(scene.gateway.port)))
        }

        @Test("takes a new configuration on SIGHUP, and keeps the old one when the new one is bad")
        func reload() throws {
            let scene = try Scene(["plain": .answer(), "second": .answer()]) { $0.models = ["plain"] }
            defer { scene.end() }
            #expect(try scene.gateway.chat(model: "second", key: scene.key).status == 400)
            let held = try RawHTTPClient(port: scene.gateway.port)

            try scene.gateway.replaceConfiguration(MartletProcessConfiguration(scene.upstream).yaml)
            scene.gateway.process.send(signal: SIGHUP)
            try waitUntil("the new model") { try scene.gateway.chat(model: "second", key: scene.key).status == 200 }

            let good = MartletProcessConfiguration(scene.upstream).yaml
            try scene.gateway.replaceConfiguration(good.replacingOccurrences(of: "api_base", with: "api_baze"))
            scene.gateway.process.send(signal: SIGHUP)
            try waitUntil("the complaint") { scene.gateway.printed.contains("api_baze") }
            #expect(try scene.gateway.chat(model: "second", key: scene.key).status == 200)
            #expect(try scene.gateway.readiness() == 200)

            var fewer = MartletProcessConfiguration(scene.upstream)
            fewer.models = ["plain"]
            try scene.gateway.replaceConfiguration(fewer.yaml)
            scene.gateway.process.send(signal: SIGHUP)
            try waitUntil("the model to be gone") {
                try scene.gateway.chat(model: "second", key: scene.key).status == 400
            }
            try scene.expectStillServes()

            // A connection from before all that is still good.
            try held.send(RawHTTPClient.bytes("GET", "/livez"))
            #expect(try held.response().status == 200)
        }

        @Test("notices a changed configuration file by itself")
        func watch() throws {
            let scene = try Scene(["plain": .answer(), "second": .answer()]) { $0.models = ["plain"] }
            defer { scene.end() }
            try scene.gateway.replaceConfiguration(MartletProcessConfiguration(scene.upstream).yaml)
            try waitUntil("the new model") { try scene.gateway.chat(model: "second", key: scene.key).status == 200 }
        }

        @Test("without any configuration prints its admin key once and a curl line that works as printed")
        func firstStart() throws {
            let gateway = try MartletProcess(configuration: nil)
            try gateway.start()
            var key = ""
            try waitUntil("the admin key") {
                let found = gateway.printed.split(whereSeparator: { " \n\"'".contains($0) })
                    .first { $0.hasPrefix("sk-") && $0.count > 20 }
                key = found.map(String.init) ?? ""
                return found != nil
            }
            let lines = gateway.printed.split(separator: "\n").map(String.init)
            let start = try #require(lines.firstIndex { $0.contains("curl ") })
            var command = String(lines[start][lines[start].range(of: "curl ")!.lowerBound...])
            var next = start + 1
            while command.hasSuffix("\\"), next < lines.count {
                command = command.dropLast() + lines[next]
                next += 1
            }
            let result = try ChildProcess.run(
                ["/bin/sh", "-c", command], environment: gateway.environment, directory: gateway.directory,
                within: .seconds(20))
            let answer = (try? JSONSerialization.jsonObject(with: Data(result.output.utf8))) as? [String: Any]
            #expect(answer?["object"] as? String == "chat.completion", "\(command)\n\(result)")
            #expect(answer?["usage"] is [String: Any])

            // Printed once: the second start is silent about it, and the key still opens.
            try gateway.terminate()
            let before = gateway.printed.components(separatedBy: key).count
            try gateway.start()
            #expect(try gateway.request("GET", "/key/list", key: key).status == 200)
            #expect(gateway.printed.components(separatedBy: key).count == before)
            #expect(try gateway.request("GET", "/key/list", key: nil).status == 401)
            gateway.kill()
        }

        @Test("becomes ready quickly and stays small when idle")
        func startAndSize() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            try scene.gateway.terminate()
            let begin = Deadline.now
            try scene.gateway.start()
            let milliseconds = (Deadline.now - begin) / 1_000_000
            // The aim is 300 ms on an idle machine; other tests run beside this one.
            #expect(milliseconds < 3000 * Deadline.slowness, "ready after \(milliseconds) ms")
            let mebibytes = (scene.gateway.process.residentBytes ?? .max) >> 20
            #expect(mebibytes <= 40 * Deadline.slowness, "\(mebibytes) MiB when idle")
        }
    }
}
