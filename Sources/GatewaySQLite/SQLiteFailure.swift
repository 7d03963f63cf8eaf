import GRDB
import GatewayLedger

/// Turns what SQLite reports into what the caller is to do.
enum SQLiteFailure {
    /// - Parameter path: the file, named in every message.
    static func ledgerError(_ error: any Error, path: String) -> LedgerError {
        switch error {
        case let error as LedgerError:
            return error
        case let error as DatabaseError:
            return Self.ledgerError(error, path: path)
        case is CancellationError:
            return .unavailable("The call to the ledger at \(path) was cancelled; whether it took effect is unknown.")
        default:
            return .unavailable("The ledger at \(path) failed: \(error).")
        }
    }

    private static func ledgerError(_ error: DatabaseError, path: String) -> LedgerError {
        let cause = "SQLite error \(error.extendedResultCode.rawValue): \(error.message ?? "no text")"
        return switch error.resultCode {
        case .SQLITE_FULL:
            .unavailable("No room for the ledger at \(path): free disk space; nothing is lost meanwhile (\(cause)).")
        case .SQLITE_IOERR:
            .unavailable("The disk under the ledger at \(path) failed: check it and its free space (\(cause)).")
        case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_PROTOCOL:
            .unavailable(
                "Another process keeps the ledger at \(path) locked: end long transactions of other tools (\(cause)).")
        case .SQLITE_CANTOPEN:
            .unavailable(
                "The ledger at \(path) cannot be opened: its directory must exist and be writable (\(cause)).")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            .unavailable("The ledger at \(path) may not be written: mend its owner or permissions (\(cause)).")
        case .SQLITE_NOMEM, .SQLITE_TOOBIG:
            .unavailable("SQLite refused the call for want of memory at \(path) (\(cause)).")
        case .SQLITE_INTERRUPT, .SQLITE_ABORT:
            .unavailable("The call to the ledger at \(path) was cut short; repeat it (\(cause)).")
        case .SQLITE_NOTADB:
            .corrupt("The file \(path) is not a SQLite database: move it away or restore the ledger (\(cause)).")
        case .SQLITE_CORRUPT:
            .corrupt("The ledger file \(path) is damaged: stop the pod and restore or recover the file (\(cause)).")
        case .SQLITE_CONSTRAINT:
            .corrupt("The ledger at \(path) contradicts a write: run `martlet ledger verify` (\(cause)).")
        default:
            .corrupt("The ledger at \(path) refused a statement: its schema is not what it should be (\(cause)).")
        }
    }
}
