/// Notices that the files of a configuration have changed and reports the new `Settings`, or why they are refused.
///
/// It compares contents, read anew at each poll through the given path, so it makes no difference whether a file was
/// written in place, replaced by a rename, or swapped by a symbolic link as Kubernetes does for ConfigMaps. A change
/// counts only once two readings in a row agree, so a file that is just being written is not taken for the new one.
///
///     same ──(a reading differs)──> settling ──(the next agrees)──> load ──> same
package struct ConfigurationWatcher: Sendable {
    private let reader: any ConfigurationReader
    private let pollInterval: Duration
    private let settleInterval: Duration
    private let load: @Sendable () -> LoadResult
    private let sleep: @Sendable (Duration) async throws -> Void
    private let onReload: @Sendable (Settings, [Diagnostic]) async -> Void
    private let onRefusal: @Sendable ([Diagnostic]) async -> Void

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
        var known = initial
        while !Task.isCancelled {
            do {
                try await self.sleep(self.pollInterval)
                var seen = self.fingerprint(of: known.files)
                guard seen != known else { continue }
                var next = seen
                repeat {
                    seen = next
                    try await self.sleep(self.settleInterval)
                    next = self.fingerprint(of: known.files)
                } while next != seen
                // Back to what is in force, such as a file that was away for a moment.
                guard next != known else { continue }
                known = await self.reload(seen: next)
            } catch {
                return
            }
        }
    }

    /// Loads at once, such as on SIGHUP, whether or not a file has changed, and reports.
    /// - Returns: the fingerprint of what was loaded.
    @discardableResult
    package func reload(seen: ConfigurationFingerprint) async -> ConfigurationFingerprint {
        let result = self.load()
        if let settings = result.settings {
            await self.onReload(settings, result.diagnostics)
        } else {
            await self.onRefusal(result.diagnostics)
        }
        if result.files == seen.files { return seen }
        // The new configuration includes other files; those already seen keep their reading.
        var next = self.fingerprint(of: result.files)
        next.keep(seen)
        return next
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
