/// How a `SQLiteStore` is opened, beyond its path.
package struct SQLiteOptions: Sendable {
    /// How long a call waits for another process's write before it is `.unavailable`.
    package var busyTimeoutMilliseconds: Int
    /// Pages of 4 KiB that the file may have at most; a full one is `.unavailable`. `nil`: SQLite's own bound.
    package var pagesMax: Int?
    /// Whether `append` brings the counters up to date in its own transaction. `false`: only `fold` does.
    package var foldsOnAppend: Bool
    /// Called between the statements of each writing transaction; what it throws ends the transaction. For tests.
    package var onWriteStep: (@Sendable (WriteStep) throws -> Void)?

    package init(
        busyTimeoutMilliseconds: Int = 5000, pagesMax: Int? = nil, foldsOnAppend: Bool = true,
        onWriteStep: (@Sendable (WriteStep) throws -> Void)? = nil
    ) {
        self.busyTimeoutMilliseconds = busyTimeoutMilliseconds
        self.pagesMax = pagesMax
        self.foldsOnAppend = foldsOnAppend
        self.onWriteStep = onWriteStep
    }
}

/// Points inside writing transactions, in the order in which they come.
package enum WriteStep: String, Sendable, CaseIterable {
    case streamMoved, rowsInserted, blocksWidened, totalsAdded, dailyAdded
}
