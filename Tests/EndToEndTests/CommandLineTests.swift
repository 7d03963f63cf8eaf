import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The command line")
    struct CommandLine {
        private func check(_ text: String) throws -> (end: ChildProcess.End, output: String) {
            let gateway = try MartletProcess(configuration: text)
            let result = try gateway.run(["check", gateway.configurationFile.path])
            return (result.end, result.output + result.errorOutput)
        }

        private let configuration = MartletProcessConfiguration(models: ["plain"], upstreamPort: 9).yaml

        @Test("accepts a good configuration")
        func good() throws {
            let result = try self.check(self.configuration)
            #expect(result.end == .exited(0), "\(result.output)")
        }

        @Test("names file, line and mend of a wrong key, and exits with 1")
        func bad() throws {
            let result = try self.check(self.configuration.replacingOccurrences(of: "api_base", with: "api_baze"))
            #expect(result.end == .exited(1))
            #expect(result.output.contains("config.yaml:5:"), "\(result.output)")
            #expect(result.output.contains("api_base"), "\(result.output)")
        }

        @Test("serves nothing that check refuses")
        func serveRefuses() throws {
            let gateway = try MartletProcess(
                configuration: self.configuration.replacingOccurrences(of: "api_base", with: "api_baze"))
            try gateway.launch()
            let end = try gateway.process.waitForEnd(within: .seconds(20))
            #expect(end != .exited(0))
            #expect(gateway.printed.contains("api_baze"))
        }

        @Test("exports the ledger as CSV and JSON lines, while the pod serves and when it is stopped")
        func export() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            for _ in 0..<3 { try scene.expectStillServes() }
            let rows = try scene.rows(3)
            func csv() throws -> [Substring] {
                try scene.gateway.run(
                    ["ledger", "export", "--format", "csv", "--data", scene.gateway.dataDirectory.path]
                        + ["--config", scene.gateway.configurationFile.path]
                ).output.split(whereSeparator: \.isNewline)
            }
            #expect(try csv().count == 4)
            #expect(try csv().first?.contains("request_id") == true)
            try scene.gateway.terminate()
            #expect(try scene.rows(3).map(\.requestID).sorted() == rows.map(\.requestID).sorted())
            #expect(try csv().count == 4)
            try scene.expectSoundLedger()
        }

        @Test("reports a ledger that was tampered with, and exits with 1")
        func tampered() throws {
            let scene = try Scene(["plain": .answer()])
            defer { scene.end() }
            for _ in 0..<3 { try scene.expectStillServes() }
            _ = try scene.rows(3)
            try scene.expectSoundLedger()
            try scene.gateway.terminate()
            let files = try FileManager.default.contentsOfDirectory(
                at: scene.gateway.dataDirectory, includingPropertiesForKeys: nil)
            let database = try #require(files.first { ["sqlite", "sqlite3", "db"].contains($0.pathExtension) })
            let script = """
                import sqlite3, sys
                c = sqlite3.connect(sys.argv[1])
                tables = [r[0] for r in c.execute("select name from sqlite_master where type='table'")]
                usage = min(t for t in tables if t.startswith("usage"))
                c.execute(f"delete from {usage} where rowid = (select min(rowid) from {usage})")
                c.commit()
                """
            let tamper = try ChildProcess.run(
                ["/usr/bin/env", "python3", "-c", script, database.path],
                environment: ProcessInfo.processInfo.environment, directory: scene.gateway.directory,
                within: .seconds(30))
            try #require(tamper.end == .exited(0), "\(tamper.errorOutput)")
            let result = try scene.gateway.verifyLedger()
            #expect(result.end == .exited(1), "\(result.output)")
            #expect(!result.output.isEmpty)
        }
    }
}
