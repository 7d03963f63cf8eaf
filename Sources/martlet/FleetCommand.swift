import ArgumentParser
import Foundation
import GatewayConfiguration
import GatewayCore
import GatewayLedger
import GatewayPostgres
import Logging

/// `martlet fleet`: the pods as the database last heard of them.
struct FleetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fleet", abstract: "Show the pods of the fleet, and journals that dead pods left.")

    @OptionGroup var location: LedgerLocation

    func run() async throws {
        try await reportingErrors {
            let store = try await openFleetStore(try self.location.settings())
            let pods = try await store.pods(seenWithin: .seconds(60)).withoutFormerRuns
            print(Self.row(["name", "pid", "version", "started", "beat ms", "applied", "changes", "journal", "conn"]))
            for pod in pods {
                let beat = pod.beat
                print(
                    Self.row([
                        beat.name, "\(beat.processID)", beat.version, beat.startedAt.iso8601,
                        "\(Int64(pod.beatAge / .milliseconds(1)))", "\(beat.applied)", "\(beat.changePosition)",
                        "\(beat.journalBytes)", "\(beat.connections)",
                    ]))
            }
            for orphan in try await store.orphans() {
                print(
                    "journal \(orphan.journal.text) of \(orphan.podName ?? "an unknown pod") is "
                        + "\(orphan.state == .orphan ? "orphaned" : "written off"), silent for "
                        + "\(Int64(orphan.beatAge / .seconds(1))) s; its last minute was worth "
                        + "\(orphan.spendOfLastMinute.decimalText) USD. Where its files are: martlet ledger replay DIR")
            }
            await store.close()
        }
    }

    private static func row(_ cells: [String]) -> String {
        let widths = [24, 8, 9, 28, 8, 12, 9, 12, 4]
        return zip(cells, widths).map { cell, width in
            cell.padding(toLength: max(width, cell.count), withPad: " ", startingAt: 0)
        }.joined(separator: " ")
    }
}

/// `martlet migrate`: brings the schema up to date, as every pod does at start.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Bring the database's schema up to date; safe while pods serve.")

    @OptionGroup var location: LedgerLocation

    func run() async throws {
        try await reportingErrors {
            let store = try await openFleetStore(try self.location.settings())
            await store.close()
            print("The schema is up to date.")
        }
    }
}

/// Opens PostgreSQL for a command; a command waits only a little for a server that is away.
private func openFleetStore(_ settings: Settings) async throws -> PostgresStore {
    guard let database = settings.database else {
        throw StartError(
            message: "No PostgreSQL is configured: set DATABASE_URL, or general_settings.database_url. With SQLite "
                + "there is one pod and no schema to bring up to date.")
    }
    let store = try PostgresStore(database)
    do throws(PostgresError) {
        try await store.open(patience: .seconds(10)) { wait in
            // A cancelled wait only makes the next try come sooner.
            try? await Task.sleep(for: wait)
        }
    } catch {
        throw StartError(message: "PostgreSQL: \(error.message)")
    }
    return store
}
