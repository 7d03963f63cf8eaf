import GatewayLedger
import Synchronization

/// Waits for the wake-ups that come with every entry of the change log, on a connection of its own. It is a comfort:
/// what it misses, the head in the answers to appends and beats tells a little later.
package final class PostgresListener: Sendable {
    private static let listen = PostgresStatement(nil, "LISTEN martlet")
    private static let head = PostgresStatement(nil, isRead: true, "SELECT position FROM {s}.change_head")

    private let store: PostgresStore
    private let connection: PostgresConnection
    private let report: @Sendable (String) -> Void
    private let pause: @Sendable (Duration) async -> Void
    private let isStopped = Atomic<Bool>(false)

    /// 1 while the connection is open, else 0.
    package var connections: Int32 { self.connection.connections }

    /// - Parameters:
    ///   - store: hears of each head, as `changeNews`.
    ///   - pause: waits between two attempts to connect; injected, so that tests need not.
    ///   - report: gets a sentence for an operator when listening begins to fail and when it cannot work at all.
    package init(
        _ store: PostgresStore, random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator(),
        pause: @escaping @Sendable (Duration) async -> Void, report: @escaping @Sendable (String) -> Void
    ) throws(LedgerError) {
        self.store = store
        self.pause = pause
        self.report = report
        do {
            self.connection = try PostgresConnection(store.settings, reach: store.reach, random: random)
        } catch {
            throw error.ledgerError
        }
    }

    /// Listens until `stop`, reconnecting as often as needed. Returns early where notifications cannot arrive, as
    /// behind a pooler, having said so once.
    package func run() async {
        var isFailing = false
        while !self.isStopped.load(ordering: .acquiring) {
            do {
                guard try await self.connection.canListen() else {
                    self.report(
                        "A pooler stands before PostgreSQL, so changes are not pushed; pods notice them with their "
                            + "next tick. Nothing has to be done.")
                    break
                }
                _ = try await self.connection.run(Self.listen)
                isFailing = false
                // What came before the LISTEN is read now, so that no gap is left.
                self.store.saw(changeHead: try await self.connection.run(Self.head).integer(0, 0))
                while let payload = try await self.connection.nextNotification() {
                    if let head = Int64(payload) { self.store.saw(changeHead: head) }
                }
            } catch {
                if !isFailing { self.report("Listening for changes failed and is tried again: \(error.message)") }
                isFailing = true
                if error.kind == .other || error.kind == .settings { break }
                if !self.isStopped.load(ordering: .acquiring) { await self.pause(.milliseconds(500)) }
            }
        }
        await self.connection.close()
    }

    /// Ends `run` at once.
    package func stop() {
        self.isStopped.store(true, ordering: .releasing)
        self.connection.interrupt()
    }
}
