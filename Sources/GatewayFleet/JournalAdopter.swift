import GatewayCore
import GatewayLedger
import Glibc
import Logging

/// What became of one journal.
package struct JournalAdoption: Sendable, Equatable {
    package enum Outcome: Sendable, Equatable {
        /// All its settlements are in the store: so many were shipped now, and so many attempts that its pod had in
        /// flight were settled as orphaned. `isRemoved`: its files are gone.
        case shipped(events: Int64, orphanedIntents: Int, isRemoved: Bool)
        /// A process holds it: it is alive, or another adopter is at work.
        case held
        /// What and how to mend it; nothing is lost.
        case failed(String)
    }
    package var directory: String
    /// `nil`: its identity could not be read.
    package var journalID: JournalID?
    package var outcome: Outcome

    package init(directory: String, journalID: JournalID?, outcome: Outcome) {
        self.directory = directory
        self.journalID = journalID
        self.outcome = outcome
    }
}

/// Brings journals that their pods left behind to the store: of dead pods on a shared volume by itself, and for an
/// operator (`martlet ledger replay DIR`).
///
///     found ──lock──► opened (intents settled as orphaned) ──ship──► all applied ──► stream closed
///       │ lock is held: left alone          │ any failure: let go, tried again later      └─► renamed, removed
///
/// Two adopters, or an adopter and the owner, cannot both hold the lock, and the store's epoch fences whoever comes
/// late; so each settlement arrives once, whatever dies in between.
package actor JournalAdopter {
    /// Behind the name of a journal that is in the store wholly, while its files are being removed.
    static let doneMark = ".adopted-"
    /// Directories looked at in one root; more are left for later rounds.
    private static let directoriesMax = 10_000
    private static let retryAfterFailure = Duration.seconds(60)

    private let ledger: any LedgerStore
    private let fleet: (any FleetStore)?
    private let configuration: JournalConfiguration
    private let deadAfter: Duration
    /// Never adopted.
    private let own: JournalID?
    private let clock: any WallClock
    private let time: FleetTime
    private let files: any JournalFiles
    private let logger: Logger
    /// Journals that could not be brought in, with when to try again.
    private var postponed: [String: Duration] = [:]

    /// - Parameters:
    ///   - fleet: `nil`: the store knows nothing of pods, and streams are not closed.
    ///   - own: this pod's own journal. `nil`: a command, which has none.
    package init(
        ledger: any LedgerStore, fleet: (any FleetStore)?, own: JournalID?, configuration: JournalConfiguration,
        deadAfter: Duration, clock: any WallClock, time: FleetTime, logger: Logger,
        files: any JournalFiles = SystemJournalFiles()
    ) {
        self.ledger = ledger
        self.fleet = fleet
        self.own = own
        self.configuration = configuration
        self.deadAfter = deadAfter
        self.clock = clock
        self.time = time
        self.logger = logger
        self.files = files
    }

    /// Looks every `interval` for journals of dead pods below `root` until the task is cancelled.
    package func run(
        root: String, interval: Duration, generator: any RandomNumberGenerator & Sendable
    ) async {
        let pacer = Pacer(generator)
        var failures = 0
        while !Task.isCancelled {
            do throws(LedgerError) {
                try await self.adoptOrphans(below: root)
                failures = 0
            } catch {
                failures += 1
            }
            let pause =
                failures == 0
                ? pacer.period(interval) : pacer.backOff(from: interval, failures: failures, most: .seconds(30))
            do { try await self.time.sleep(pause) } catch { return }
        }
    }

    /// Brings in the journals below `root` whose streams the store lists as orphaned, and removes them.
    /// - Throws: as the store, or `.unavailable` when `root` cannot be read.
    @discardableResult
    package func adoptOrphans(below root: String) async throws(LedgerError) -> [JournalAdoption] {
        guard let fleet = self.fleet else { return [] }
        self.finishRemovals(below: root)
        // The directory is asked first: it costs less than the store.
        let found = try self.journals(below: root).compactMap { directory in
            self.identity(of: directory).flatMap { $0 == self.own ? nil : (directory, $0) }
        }
        if found.isEmpty { return [] }
        let orphans = Set(try await fleet.orphans().map(\.journal))
        var adoptions: [JournalAdoption] = []
        for (directory, journalID) in found where orphans.contains(journalID) {
            guard !Task.isCancelled else { break }
            if let until = self.postponed[directory], self.time.now() < until { continue }
            let adoption = await self.bringIn(directory, journalID: journalID, removes: true)
            self.note(adoption)
            adoptions.append(adoption)
        }
        return adoptions
    }

    /// Brings in every journal in or below `directory` that nobody holds, for an operator. The files stay, so it can be
    /// repeated; what the store has already is not stored again.
    /// - Throws: `.notFound`: there is no journal; `.unavailable`: the directory cannot be read.
    package func replay(_ directory: String) async throws(LedgerError) -> [JournalAdoption] {
        let found = try self.journals(below: directory)
        guard !found.isEmpty else {
            throw .notFound(
                "there is no journal in \(directory): name a journal's directory (it has a file "
                    + "\(JournalFormat.identityName)), a data directory, or a directory of these")
        }
        var adoptions: [JournalAdoption] = []
        for journal in found {
            adoptions.append(await self.bringIn(journal, journalID: self.identity(of: journal), removes: false))
        }
        return adoptions
    }

    // MARK: Finding

    /// Directories with a journal: `root` itself, `root/journal`, `root/*` and `root/*/journal`; sorted.
    private func journals(below root: String) throws(LedgerError) -> [String] {
        let names: [String]
        do throws(FileFailure) { names = try self.files.names(in: root) } catch { throw error.ledgerError }
        var candidates = [root, root + "/journal"]
        for name in names.sorted().prefix(Self.directoriesMax) where !name.contains(Self.doneMark) {
            candidates += [root + "/" + name, root + "/" + name + "/journal"]
        }
        var seen: Set<String> = []
        return candidates.filter { directory in
            guard seen.insert(directory).inserted else { return false }
            return (try? self.files.read(directory + "/" + JournalFormat.identityName)) != nil
        }
    }

    private func identity(of directory: String) -> JournalID? {
        guard let content = try? self.files.read(directory + "/" + JournalFormat.identityName) else { return nil }
        return JournalID(text: String(decoding: content, as: UTF8.self).filter { $0 != "\n" })
    }

    // MARK: Bringing in

    private func bringIn(_ directory: String, journalID: JournalID?, removes: Bool) async -> JournalAdoption {
        var adoption = JournalAdoption(directory: directory, journalID: journalID, outcome: .held)
        do throws(LedgerError) {
            let (journal, recovery) = try Journal.open(
                directory: directory, existing: journalID, configuration: self.configuration, clock: self.clock,
                files: self.files)
            adoption.journalID = journal.journalID
            do throws(LedgerError) {
                let events = try await self.ship(journal)
                await self.closeStream(of: journal.journalID)
                var isRemoved = false
                if removes { isRemoved = self.remove(journal) }
                adoption.outcome = .shipped(
                    events: events, orphanedIntents: recovery.orphanedIntents, isRemoved: isRemoved)
            } catch {
                // What was shipped stays; what was not stays in the files.
                try? journal.close()
                throw error
            }
            try? journal.close()
        } catch {
            switch error {
            // Held, or somebody else has just brought it in.
            case .locked, .notFound: return adoption
            default: break
            }
            adoption.outcome = .failed(error.message)
        }
        return adoption
    }

    /// - Returns: how many settlements were shipped.
    private func ship(_ journal: Journal) async throws(LedgerError) -> Int64 {
        let sleep = self.time.sleep
        let counter = CountingLedgerStore(self.ledger)
        let shipper = LedgerShipper(journal: journal, store: counter, sleep: sleep)
        try await shipper.shipNow()
        guard shipper.status.applied == journal.lastSequence, journal.openIntents == 0 else {
            throw .unavailable("the journal in \(journal.directory) could not be shipped wholly; try again")
        }
        return counter.events
    }

    /// Tells the fleet that nothing is owed for the stream any more. Should it fail, the stream is shown as an orphan
    /// with nothing left to come, until it is written off.
    private func closeStream(of journalID: JournalID) async {
        guard let fleet = self.fleet else { return }
        do throws(LedgerError) {
            for pod in try await fleet.pods(seenWithin: .seconds(86_400))
            where pod.beat.journal == journalID && pod.beatAge > self.deadAfter {
                try await fleet.leave(pod.beat.podID)
            }
            // The stream closes with the last pod that beat for it, and that one may be forgotten long since.
            var generator = SystemRandomNumberGenerator()
            let podID = PodID(.random(using: &generator))
            _ = try await fleet.beat(
                PodBeat(
                    podID: podID, name: "adopter", processID: getpid(), version: "", startedAt: self.clock.now(),
                    journal: journalID, applied: 0, changePosition: .max, journalBytes: 0, connections: 0))
            try await fleet.leave(podID)
        } catch {
            self.logger.notice(
                "The stream of an adopted journal could not be closed",
                metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
        }
    }

    // MARK: Removing

    /// Gives the directory another name while its lock is held, so that an owner who comes back finds none and begins a
    /// new journal; then removes it. `false`: it stays, and adopting it again ships nothing.
    private func remove(_ journal: Journal) -> Bool {
        let done = journal.directory + Self.doneMark + journal.journalID.text
        do throws(FileFailure) { try self.files.rename(journal.directory, to: done) } catch {
            self.logger.warning(
                "An adopted journal could not be removed",
                metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
            return false
        }
        try? journal.close()
        return self.removeDirectory(done)
    }

    /// What a crash left of removals.
    private func finishRemovals(below root: String) {
        let names = (try? self.files.names(in: root)) ?? []
        for name in names.prefix(Self.directoriesMax) {
            let path = root + "/" + name
            if name.contains(Self.doneMark) {
                _ = self.removeDirectory(path)
            } else if let inner = try? self.files.names(in: path) {
                for name in inner where name.hasPrefix("journal" + Self.doneMark) {
                    _ = self.removeDirectory(path + "/" + name)
                }
            }
        }
    }

    private func removeDirectory(_ path: String) -> Bool {
        do throws(FileFailure) {
            for name in try self.files.names(in: path) { try self.files.remove(path + "/" + name) }
            return rmdir(path) == 0
        } catch {
            self.logger.warning(
                "An adopted journal could not be removed",
                metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
            return false
        }
    }

    // MARK: Telling

    private func note(_ adoption: JournalAdoption) {
        var metadata: Logger.Metadata = [LogKey.journalDirectory.rawValue: "\(adoption.directory)"]
        switch adoption.outcome {
        case .held: break
        case .shipped(let events, _, _):
            metadata[LogKey.journalEvents.rawValue] = "\(events)"
            self.postponed[adoption.directory] = nil
            self.logger.notice("The journal of a dead pod was adopted", metadata: metadata)
        case .failed(let text):
            metadata[LogKey.errorMessage.rawValue] = "\(text)"
            if self.postponed.count >= Self.directoriesMax { self.postponed = [:] }
            self.postponed[adoption.directory] = self.time.now() + Self.retryAfterFailure
            self.logger.error("The journal of a dead pod cannot be adopted", metadata: metadata)
        }
    }
}
