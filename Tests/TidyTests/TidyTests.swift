import Foundation
import TestSupport
import Testing

/// The rules of the house, applied to every file of the clone.
@Suite("The repository", .ownThread)
struct TidyTests {
    /// One issue for each violation, so that each is read on a line of its own.
    private func expectNone(_ violations: [Violation], at location: SourceLocation = #_sourceLocation) {
        for violation in violations { Issue.record("\(violation)", sourceLocation: location) }
    }

    @Test("imports only from lower layers, and heavy dependencies only where they are fenced off")
    func layers() {
        self.expectNone(Repository.files.flatMap { LayerRule.violations(in: $0) })
    }

    @Test("names every target in the layer table")
    func everyTargetIsListed() throws {
        let folders = try FileManager.default
            .contentsOfDirectory(atPath: Repository.root.appendingPathComponent("Sources").path)
            .filter { !$0.hasPrefix(".") && $0 != LayerRule.testSupport }
        #expect(Set(folders) == Set(LayerRule.targets.keys))
    }

    @Test("keeps files and functions short")
    func lengths() {
        self.expectNone(Repository.files.flatMap { LengthRule.violations(in: $0) })
    }

    @Test("holds no banned call or word")
    func bannedText() {
        self.expectNone(Repository.files.flatMap { BannedTextRule.violations(in: $0) })
    }

    @Test("escapes concurrency checks only where a proof is listed")
    func uncheckedConcurrency() {
        self.expectNone(Repository.files.flatMap { UncheckedConcurrencyRule.violations(in: $0) })
        for (path, _) in UncheckedConcurrencyRule.allowed {
            #expect(Repository.files.contains { $0.path == path }, "\(path) is allowed an escape but is gone")
        }
    }

    @Test("holds no path of one machine")
    func machinePaths() {
        self.expectNone(Repository.files.flatMap { MachinePathRule.violations(in: $0) })
    }

    @Test("names every golden file in a test")
    func goldenFiles() {
        self.expectNone(GoldenRule.violations(in: Repository.files))
    }

    @Test("is formatted as swift format wants it")
    func format() throws {
        let result = try ChildProcess.run(
            ["/usr/bin/env", "swift", "format", "lint", "--strict", "--recursive"]
                + ["Package.swift", "Sources", "Tests"].map { Repository.root.appendingPathComponent($0).path },
            environment: ProcessInfo.processInfo.environment, directory: FileManager.default.temporaryDirectory,
            within: .seconds(300))
        let report = result.errorOutput.split(separator: "\n").prefix(40).joined(separator: "\n")
        #expect(result.end == .exited(0), "\(report)")
    }
}
