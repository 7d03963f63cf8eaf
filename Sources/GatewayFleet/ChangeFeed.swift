import GatewayLedger
import Logging
import Synchronization

/// Brings this pod up to date as soon as anybody tells of news, and every few seconds whether or not anybody does.
///
///     wake-ups of the store ─┐
///     head in a beat's answer ├─► note(head:) ─► bell ─► catch up, again after a pause until it succeeds ─► onPosition
///     own changes, poll      ─┘
///
/// A head is caught up with once, however many tell of it; none is missed, because a loop that is busy hears the bell
/// when it is done.
package final class ChangeFeed: Sendable {
    private let reader: ChangeLogReader
    private let news: AsyncStream<Int64>?
    private let configuration: FleetConfiguration
    private let time: FleetTime
    private let pacer: Pacer
    private let logger: Logger
    private let onPosition: @Sendable (Int64) -> Void
    private let bell = Bell()
    /// Read the log although no head is known that is not in force.
    private let mustRead = Atomic<Bool>(false)
    private let mustStartOver = Atomic<Bool>(false)

    /// - Parameters:
    ///   - news: heads of the change log as the store hears of them. `nil`: it cannot tell.
    ///   - onPosition: gets each new position when it is in force; must be quick.
    package init(
        reader: ChangeLogReader, news: AsyncStream<Int64>?, configuration: FleetConfiguration, time: FleetTime,
        generator: any RandomNumberGenerator & Sendable, logger: Logger,
        onPosition: @escaping @Sendable (Int64) -> Void
    ) {
        self.reader = reader
        self.news = news
        self.configuration = configuration
        self.time = time
        self.pacer = Pacer(generator)
        self.logger = logger
        self.onPosition = onPosition
    }

    /// The log reaches to `head`, as somebody says.
    package func note(head: Int64) {
        self.reader.note(head: head)
        if head > self.reader.position { self.bell.ring() }
    }

    /// Something was changed; the position is not known.
    package func noteChange() {
        self.mustRead.store(true, ordering: .releasing)
        self.bell.ring()
    }

    /// Takes over what the answer to a beat says that had told `position`.
    package func note(_ pulse: FleetPulse, told position: Int64) {
        if pulse.changeHead < position {
            self.logger.error(
                "The store has lost changes; everything is loaded again",
                metadata: [LogKey.changePosition.rawValue: "\(position)"])
            self.mustStartOver.store(true, ordering: .releasing)
            self.noteChange()
        } else {
            self.note(head: pulse.changeHead)
        }
    }

    /// Follows until the task is cancelled. Call it once, after the reader's `start()`.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.poll() }
            if let news = self.news {
                group.addTask { for await head in news { self.note(head: head) } }
            }
            group.addTask {
                for await _ in self.bell.rings { await self.follow() }
            }
            await group.waitForAll()
        }
    }

    /// Puts in force what is in the log now.
    /// - Returns: the position that is in force.
    /// - Throws: as the store; the loop tries again by itself.
    @discardableResult package func catchUp() async throws(LedgerError) -> Int64 {
        let before = self.reader.position
        do throws(LedgerError) {
            if self.mustStartOver.exchange(false, ordering: .acquiringAndReleasing) {
                do throws(LedgerError) { try await self.reader.startOver() } catch {
                    self.mustStartOver.store(true, ordering: .releasing)
                    throw error
                }
            }
            let position = try await self.reader.catchUp()
            if position != before { self.onPosition(position) }
            return position
        } catch {
            self.noteChange()
            throw error
        }
    }

    private func poll() async {
        while !Task.isCancelled {
            do { try await self.time.sleep(self.pacer.period(self.configuration.pollInterval)) } catch { return }
            self.noteChange()
        }
    }

    private func follow() async {
        var failures = 0
        while !Task.isCancelled {
            let isAsked = self.mustRead.exchange(false, ordering: .acquiringAndReleasing)
            guard isAsked || self.reader.head > self.reader.position else { return }
            do throws(LedgerError) {
                try await self.catchUp()
                failures = 0
            } catch {
                failures += 1
                if failures == 1 {
                    self.logger.warning(
                        "Changes cannot be read", metadata: [LogKey.errorMessage.rawValue: "\(error.message)"])
                }
                let pause = self.pacer.backOff(
                    from: .milliseconds(100), failures: failures, most: self.configuration.backOffMax)
                do { try await self.time.sleep(pause) } catch { return }
            }
        }
    }
}
