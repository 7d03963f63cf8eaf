import Synchronization

/// Notices that the files of a configuration have changed and reports the new `Settings`, or why they are refused.
///
/// It compares contents, read anew at each poll through the given path, so it makes no difference whether a file was
/// written in place, replaced by a rename, or swapped by a symbolic link as Kubernetes does for ConfigMaps. A change
/// counts only once two readings in a row agree, so a file that is just being written is not taken for the new one.
///
///     same ──(a reading differs)──> settling ──(the next agrees)──> load ──> same
package final class ConfigurationWatcher: Sendable {
    private let reader: any ConfigurationReader
    private let pollInterval: Duration
    private let settleInterval: Duration
    private let load: @Sendable () -> LoadResult
    private let sleep: @Sendable (Duration) async throws -> Void
    private let onReload: @Sendable (Settings, [Diagnostic]) async -> Void
    private let onRefusal: @Sendable ([Diagnostic]) async -> Void
    /// What has been loaded last, whoever asked for it. `nil`: nothing is watched yet.
    private let known = Mutex<ConfigurationFingerprint?>(nil)

    /// - Parameters:
    ///   - load: loads the whole configuration as at the start.
    ///   - sleep: waits, or throws when the task is cancelled.
    ///   - onReload: gets settings to put in force, with the warnings.
    ///   - onRefusal: gets the diagnostics of a file that is refused; the former settings stay in force.
    package init(
        reader: any ConfigurationReader, pollInterval: Duration = .seconds(1),
        settleInterval: Duration = .milliseconds(100), load: @escaping @Sendable () -> LoadResult,
        sleep: @escaping @Sendable (Duration) async throws -> Void,
        onReload: @escaping @Sendable (Settings, [Diagnostic]) async -> Void,
        onRefusal: @escaping @Sendable ([Diagnostic]) async -> Void
    ) {
        self.reader = reader
        self.pollInterval = pollInterval
        self.settleInterval = settleInterval
        self.load = load
        self.sleep = sleep
        self.onReload = onReload
        self.onRefusal = onRefusal
    }

    /// Fingerprints of files as they are now; to be taken before the load whose result they stand for, so that a
    /// change in between is noticed.
    package func fingerprint(of files: [String]) -> ConfigurationFingerprint {
        var hashes: [String: UInt64] = [:]
        for file in files {
            guard let bytes = try? self.reader.read(path: file, bytesMax: YAMLSource.bytesMax) else {
                continue
            }
            var hash = FNV1a()
            hash.add(bytes: bytes)
            hashes[file] = hash.value
        }
        return ConfigurationFingerprint(files: files, hashes: hashes)
    }

    /// Watches until the task is cancelled or `sleep` throws.
    /// - Parameter initial: `fingerprint(of:)` of the files behind the settings in force.
    package func run(from initial: ConfigurationFingerprint) async {
        // A reload that was asked for before has read something newer.
        var files = self.known.withLock { known in
            if known == nil { known = initial }
            return known?.files ?? []
        }
        while !Task.isCancelled {
            do {
                try await self.sleep(self.pollInterval)
                files = self.files ?? files
                var seen = self.fingerprint(of: files)
                guard seen != self.known.withLock({ $0 }) else { continue }
                var next = seen
                repeat {
                    seen = next
                    try await self.sleep(self.settleInterval)
                    next = self.fingerprint(of: files)
                } while next != seen
                // Back to what is in force, such as a file that was away for a moment; or somebody else has loaded it.
                guard self.claim(next) else { continue }
                await self.loadAndReport(next)
            } catch {
                return
            }
        }
    }

    /// Loads at once, such as on SIGHUP, whether or not a file has changed, and reports. What it has loaded is not
    /// reported again by `run`.
    package func reload() async {
        let seen = self.fingerprint(of: self.files ?? [])
        _ = self.claim(seen)
        await self.loadAndReport(seen)
    }

    private var files: [String]? { self.known.withLock { $0?.files } }

    /// Takes it upon itself to load what was `seen`. `false`: it is in force, or being loaded.
    private func claim(_ seen: ConfigurationFingerprint) -> Bool {
        self.known.withLock { known in
            if known == seen { return false }
            known = seen
            return true
        }
    }

    private func loadAndReport(_ seen: ConfigurationFingerprint) async {
        let result = self.load()
        var now = seen
        if result.files != seen.files {
            // The new configuration includes other files; those already seen keep their reading.
            now = self.fingerprint(of: result.files)
            now.keep(seen)
        }
        let isNewest = self.known.withLock { known in
            guard known == seen || known == now else { return false }
            known = now
            return true
        }
        // Otherwise somebody has begun to load what came after, and reports that.
        guard isNewest else { return }
        if let settings = result.settings {
            await self.onReload(settings, result.diagnostics)
        } else {
            await self.onRefusal(result.diagnostics)
        }
    }
}

/// Contents of a set of files, in short. Files that cannot be read are part of it as missing.
package struct ConfigurationFingerprint: Sendable, Hashable {
    package let files: [String]
    private var hashes: [String: UInt64]

    init(files: [String], hashes: [String: UInt64]) {
        self.files = files
        self.hashes = hashes
    }

    /// Takes over `other`'s reading of the files that both have.
    mutating func keep(_ other: ConfigurationFingerprint) {
        for file in self.files where other.files.contains(file) {
            self.hashes[file] = other.hashes[file]
        }
    }
}
