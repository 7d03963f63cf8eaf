import Foundation
import GatewayConfiguration
import Synchronization
import Testing

/// Files that change as time passes: each sleep of the watcher runs the next step of a script, then the end cancels.
private final class ScriptedFiles: ConfigurationReader {
    private struct State {
        var files: [String: String]
        var steps: [[String: String?]]
    }
    private let state: Mutex<State>
    private let log = Mutex<[String]>([])
    private let watcher = Mutex<ConfigurationWatcher?>(nil)
    private let sleeps = Mutex(0)

    init(_ files: [String: String], steps: [[String: String?]]) {
        self.state = Mutex(State(files: files, steps: steps))
    }

    func read(path: String, bytesMax: Int) throws(ConfigurationReadError) -> [UInt8] {
        guard let text = self.state.withLock({ $0.files[path] }) else { throw .system(2) }
        return Array(text.utf8)
    }

    func sleep() throws {
        try self.state.withLock { state in
            guard !state.steps.isEmpty else { throw CancellationError() }
            for (file, text) in state.steps.removeFirst() { state.files[file] = text }
        }
    }

    private func countSleep() -> Int {
        self.sleeps.withLock { count in
            count += 1
            return count
        }
    }

    func note(_ text: String) { self.log.withLock { $0.append(text) } }
    var notes: [String] { self.log.withLock { $0 } }

    /// What the watcher reports over the whole script.
    /// - Parameter reloadsAtSleep: a reload is asked for after this sleep; 0: before the first. `nil`: none is.
    func watch(reloadsAtSleep: Int? = nil) async -> [String] {
        let load: @Sendable () -> LoadResult = {
            ConfigurationLoader(reader: self).load(
                file: "config.yaml", environment: [:], overrides: CommandLineOverrides())
        }
        let watcher = ConfigurationWatcher(
            reader: self, load: load,
            sleep: { _ in
                try self.sleep()
                if self.countSleep() == reloadsAtSleep { await self.watcher.withLock { $0 }?.reload() }
            },
            onReload: { settings, _ in
                self.note("reload " + settings.routing.deployments.map(\.modelGroup).joined(separator: " "))
            },
            onRefusal: { diagnostics in self.note("refusal \(diagnostics.first?.position.rendered ?? "")")
            })
        self.watcher.withLock { $0 = watcher }
        let initial = watcher.fingerprint(of: load().files)
        if reloadsAtSleep == 0 { await watcher.reload() }
        await watcher.run(from: initial)
        self.watcher.withLock { $0 = nil }
        return self.notes
    }
}

@Suite("The configuration watcher")
struct WatcherTests {
    private static func file(_ names: String..., include: String? = nil) -> String {
        names.reduce(into: include.map { "include: [\($0)]\n" } ?? "") { text, name in
            if !text.contains("model_list") { text += "model_list:\n" }
            text += "  - {model_name: \(name), litellm_params: {model: openai/m, api_key: k}}\n"
        }
    }

    @Test("is silent while nothing changes")
    func isSilent() async {
        let same = Self.file("a")
        let files = ScriptedFiles(["config.yaml": same], steps: [[:], ["config.yaml": same], [:]])
        #expect(await files.watch() == [])
    }

    @Test("reports a new file once")
    func reportsOnce() async {
        let files = ScriptedFiles(
            ["config.yaml": Self.file("a")], steps: [["config.yaml": Self.file("b")], [:], [:], [:]])
        #expect(await files.watch() == ["reload b"])
    }

    @Test("waits until a file that is being written is whole")
    func waitsForWholeFile() async {
        let whole = Self.file("a", "b")
        let steps: [[String: String?]] = [
            ["config.yaml": String(whole.prefix(20))], ["config.yaml": Self.file("a")],
            ["config.yaml": whole], [:], [:],
        ]
        #expect(
            await ScriptedFiles(["config.yaml": Self.file("x")], steps: steps).watch() == ["reload a b"])
    }

    @Test("refuses a bad file once, and takes the good one that follows")
    func refusesBadFiles() async {
        let steps: [[String: String?]] = [
            ["config.yaml": "modle_list: []\n"], [:], [:], ["config.yaml": Self.file("c")], [:], [:],
        ]
        let notes = await ScriptedFiles(["config.yaml": Self.file("a")], steps: steps).watch()
        #expect(notes == ["refusal config.yaml:1:1", "reload c"])
    }

    @Test("does not report again what a reload has loaded that was asked for")
    func reloadCounts() async {
        for content in ["modle_list: []\n", Self.file("b")] {
            let files = ScriptedFiles(
                ["config.yaml": Self.file("a")], steps: [["config.yaml": content], [:], [:], [:]])
            #expect(await files.watch(reloadsAtSleep: 1).count == 1)
        }
        // Asked for before the watching has begun.
        let early = ScriptedFiles(["config.yaml": Self.file("a")], steps: [[:], [:], [:]])
        #expect(await early.watch(reloadsAtSleep: 0) == ["reload a"])
    }

    @Test("bears a file that is away for a moment, and reports one that stays away")
    func bearsAbsence() async {
        let content = Self.file("a")
        let brief: [[String: String?]] = [["config.yaml": nil], ["config.yaml": content], [:], [:]]
        #expect(await ScriptedFiles(["config.yaml": content], steps: brief).watch() == [])
        let long: [[String: String?]] = [
            ["config.yaml": nil], [:], [:], ["config.yaml": Self.file("b")], [:],
        ]
        #expect(
            await ScriptedFiles(["config.yaml": content], steps: long).watch() == [
                "refusal config.yaml", "reload b",
            ])
    }

    @Test("follows included files, also those that come and go")
    func followsIncludes() async {
        let start = ["config.yaml": Self.file("a", include: "b.yaml"), "b.yaml": Self.file("b")]
        let steps: [[String: String?]] = [
            ["b.yaml": Self.file("b2")], [:],
            ["config.yaml": Self.file("a", include: "c.yaml"), "c.yaml": Self.file("c")], [:],
            ["b.yaml": Self.file("ignored")], ["c.yaml": Self.file("c2")], [:],
        ]
        #expect(
            await ScriptedFiles(start, steps: steps).watch() == [
                "reload a b2", "reload a c", "reload a c2",
            ])
    }

    @Test("sees a rename and a swapped symbolic link on a real disk")
    func seesRealFiles() throws {
        let directory = FileManager.default.temporaryDirectory.appending(
            path: "martlet-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        for version in ["v1", "v2"] {
            let place = directory.appending(path: version)
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            try Self.file(version).write(
                to: place.appending(path: "config.yaml"), atomically: false, encoding: .utf8)
        }
        // As a mounted ConfigMap: config.yaml -> ..data/config.yaml, ..data -> v1.
        let path = directory.appending(path: "config.yaml").path()
        let link = directory.appending(path: "..data").path()
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "v1")
        try FileManager.default.createSymbolicLink(
            atPath: path, withDestinationPath: "..data/config.yaml")
        let watcher = ConfigurationWatcher(
            reader: SystemConfigurationReader(),
            load: { LoadResult(settings: nil, diagnostics: [], files: []) },
            sleep: { _ in }, onReload: { _, _ in }, onRefusal: { _ in })
        let first = watcher.fingerprint(of: [path])
        #expect(first == watcher.fingerprint(of: [path]))
        try FileManager.default.createSymbolicLink(atPath: link + "_tmp", withDestinationPath: "v2")
        #expect(rename(link + "_tmp", link) == 0)
        let second = watcher.fingerprint(of: [path])
        #expect(first != second)
        try Self.file("v3").write(toFile: path, atomically: true, encoding: .utf8)
        #expect(watcher.fingerprint(of: [path]) != second)
    }
}
