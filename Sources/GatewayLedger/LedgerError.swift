/// What can go wrong at the ledger's stores and journal; each case tells the caller what to do.
package enum LedgerError: Error, Sendable, Equatable {
    /// The store cannot be reached or did not answer; the outcome is unknown. Repeat: every statement is idempotent.
    case unavailable(String)
    /// Something of the same name exists with other content. Do not repeat.
    case conflict(String)
    case notFound(String)
    /// The journal is at its bound or its disk is full: metered calls are refused until it has been shipped.
    case journalFull(String)
    /// Stored data contradicts itself: stop and let an operator look. The text says what and where.
    case corrupt(String)
    /// Another process holds the data directory.
    case locked(String)

    /// For logs and for an operator.
    package var message: String {
        switch self {
        case .unavailable(let text), .conflict(let text), .notFound(let text), .journalFull(let text),
            .corrupt(let text), .locked(let text):
            text
        }
    }
}
